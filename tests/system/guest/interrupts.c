// The 8259A pair, the 8254's channel 0, the local APIC and its timer, the I/O APIC, starting other processors.
#include "guest.h"

volatile uint32_t interrupt_count[256];
static uint64_t idt[256];
extern char interrupt_stubs[];
extern char ap_code[], ap_code_end[];

static volatile uint32_t* const kLapic = (volatile uint32_t*)0xfee00000;
static volatile uint32_t* const kIoapic = (volatile uint32_t*)0xfec00000;

static uint32_t lapic_read(int offset) { return kLapic[offset / 4]; }
static void lapic_write(int offset, uint32_t value) { kLapic[offset / 4] = value; }

void interrupt(uint32_t vector) {
  interrupt_count[vector & 255]++;
  if (vector < 0x20) {
    put("\nFAULT ");
    put_hex(vector);
    put("\n");
    for (;;) __asm__ volatile("cli; hlt");
  }
  if (vector == kVectorLapicTimer) lapic_write(0xb0, 0);
  if (vector >= kVectorPic && vector < kVectorPic + 16) {
    if (vector >= kVectorPic + 8) outb(0xa0, 0x20);
    outb(0x20, 0x20);
  }
}

static void pic_init(void) {  // ICW1-4: cascade on IRQ 2, 8086 mode, all masked but the cascade
  outb(0x20, 0x11), outb(0xa0, 0x11);
  outb(0x21, kVectorPic), outb(0xa1, kVectorPic + 8);
  outb(0x21, 4), outb(0xa1, 2);
  outb(0x21, 1), outb(0xa1, 1);
  outb(0x21, 0xfb), outb(0xa1, 0xff);
}

void interrupts_init(void) {
  for (int i = 0; i < 256; i++) {
    uint32_t handler = (uint32_t)(interrupt_stubs + 16 * i);
    idt[i] = (uint64_t)(handler & 0xffff0000) << 32 | (uint64_t)0x8e00 << 32 | 0x08u << 16 | (handler & 0xffff);
  }
  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};
  __asm__ volatile("lidt %0" ::"m"(pointer));
  pic_init();
  __asm__ volatile("sti");
}

static void set_mask(int irq, int masked) {
  uint16_t port = irq < 8 ? 0x21 : 0xa1;
  uint8_t bit = (uint8_t)(1 << (irq & 7));
  outb(port, masked ? inb(port) | bit : inb(port) & (uint8_t)~bit);
}

void irq_unmask(int irq) { set_mask(irq, 0); }
void irq_mask(int irq) { set_mask(irq, 1); }

int wait_count(int vector, uint32_t above, uint32_t ms) {
  for (uint32_t i = 0; i < ms; i++) {
    if (interrupt_count[vector] > above) return 1;
    wait_ms(1);
  }
  return interrupt_count[vector] > above;
}

// 100 Hz by channel 0, mode 2: five ticks, waited for in HLT, must take about 50 ms by the PM timer.
int test_pit(void) {
  uint32_t before = interrupt_count[kVectorPic];
  outb(0x43, 0x34);
  outb(0x40, 11932 & 255), outb(0x40, 11932 >> 8);
  irq_unmask(0);
  while (interrupt_count[kVectorPic] == before) __asm__ volatile("hlt");
  uint32_t first = interrupt_count[kVectorPic], start = pm_ticks();
  while (interrupt_count[kVectorPic] < first + 5) __asm__ volatile("hlt");
  uint32_t ticks = (pm_ticks() - start) & 0xffffff;
  irq_mask(0);
  if (ticks < 80000) return failed("five ticks came too fast", ticks);
  if (ticks > 3579545) return failed("five ticks took over a second", ticks);
  return 1;
}

int test_lapic(void) {
  uint32_t version = lapic_read(0x30) & 0xff;
  if (version < 0x10 || version > 0x1f) return failed("version", version);
  lapic_write(0xf0, 0x1ff);  // software enable, spurious vector FFh
  lapic_write(0x3e0, 0xb);   // divide by 1
  uint32_t before = interrupt_count[kVectorLapicTimer];
  lapic_write(0x320, kVectorLapicTimer);  // one shot
  lapic_write(0x380, 1000000);
  if (!wait_count(kVectorLapicTimer, before, 2000)) return failed("no timer interrupt, count", lapic_read(0x390));
  wait_ms(5);
  uint32_t count = interrupt_count[kVectorLapicTimer] - before;
  lapic_write(0x320, 0x10000);
  return count == 1 ? 1 : failed("one-shot interrupts", count);
}

int test_ioapic(void) {
  kIoapic[0] = 1;
  uint32_t version = kIoapic[4];
  if (((version >> 16) & 0xff) != 23) return failed("not 24 inputs, version register", version);
  kIoapic[0] = 0x10 + 2 * 20;
  kIoapic[4] = 0x00010055;  // input 20 masked with vector 55h: reads back
  uint32_t entry = kIoapic[4];
  return (entry & 0x100ff) == 0x10055 ? 1 : failed("redirection entry", entry);
}

// INIT and SIPI to all others; each counts itself at 5FF0h.
int test_smp(void) {
  uint32_t others = cpus_by_fw_cfg() - 1;
  volatile uint16_t* counter = (volatile uint16_t*)0x5ff0;
  char* page = (char*)0x6000;
  *counter = 0;
  for (int i = 0; ap_code + i < ap_code_end; i++) page[i] = ap_code[i];
  lapic_write(0xf0, 0x1ff);
  if (others) {
    lapic_write(0x300, 0xc4500);
    wait_ms(10);
    lapic_write(0x300, 0xc4606);
  }
  for (int i = 0; i < 2000 && *counter < others; i++) wait_ms(1);
  return *counter == others ? 1 : failed("processors that answered", *counter);
}
