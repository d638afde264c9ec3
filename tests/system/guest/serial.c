// The 16550 UART (PC16550D data sheet): output, input, loopback, the transmitter's interrupt.
#include "guest.h"

enum { kPort = 0x3f8, kIer = kPort + 1, kIir = kPort + 2, kLcr = kPort + 3, kMcr = kPort + 4, kLsr = kPort + 5 };

void serial_init(void) {
  outb(kIer, 0);
  outb(kLcr, 0x80);  // divisor latch: 115200 baud
  outb(kPort, 1);
  outb(kIer, 0);
  outb(kLcr, 3);
  outb(kIir, 1);     // FIFO on
  outb(kMcr, 0x0b);  // DTR, RTS, OUT2 (lets the interrupt through)
}

static void put_char(char c) {
  while (!(inb(kLsr) & 0x20)) {
  }
  outb(kPort, (uint8_t)c);
}

void put(const char* text) {
  for (; *text; text++) {
    if (*text == '\n') put_char('\r');
    put_char(*text);
  }
}

void put_hex(uint32_t value) {
  put("0x");
  for (int shift = 28; shift >= 0; shift -= 4) put_char("0123456789abcdef"[(value >> shift) & 15]);
}

char get(void) {
  while (!(inb(kLsr) & 1)) {
  }
  return (char)inb(kPort);
}

int test_serial_loopback(void) {
  outb(kMcr, 0x1b);
  int ok = 1;
  for (int i = 0; i < 4 && ok; i++) {
    outb(kPort, (uint8_t)(0x5a + i));
    for (int tries = 0; tries < 100000 && !(inb(kLsr) & 1); tries++) {
    }
    ok = inb(kPort) == 0x5a + i;
  }
  outb(kMcr, 0x0b);
  return ok ? 1 : failed("a byte did not come back", 0);
}

int test_serial_irq(void) {
  uint32_t before = interrupt_count[kVectorPic + 4];
  irq_unmask(4);
  outb(kIer, 2);  // transmitter holding register empty: true at once
  int seen = wait_count(kVectorPic + 4, before, 2000);
  uint8_t iir = inb(kIir);
  outb(kIer, 0);
  irq_mask(4);
  if (!seen) return failed("no IRQ 4, IIR", iir);
  return 1;
}
