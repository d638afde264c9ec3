// PCI configuration, PIIX4 power management, RTC, keyboard controller, fw_cfg; power off and reset.
#include "guest.h"

static uint16_t pm_base;

static uint32_t pci_address(int device, int function, int offset) {
  return 0x80000000u | (uint32_t)device << 11 | (uint32_t)function << 8 | (uint32_t)(offset & 0xfc);
}

uint32_t pci_read(int device, int function, int offset) {
  outl(0xcf8, pci_address(device, function, offset));
  return inl(0xcfc);
}

void pci_write(int device, int function, int offset, uint32_t value) {
  outl(0xcf8, pci_address(device, function, offset));
  outl(0xcfc, value);
}

static uint16_t pm_io(void) {
  if (!pm_base) pm_base = pci_read(1, 3, 0x40) & 0xffc0;
  return pm_base;
}

uint32_t pm_ticks(void) { return inl(pm_io() + 8) & 0xffffff; }

void wait_ms(uint32_t ms) {
  for (; ms; ms--) {
    uint32_t start = pm_ticks();
    while (((pm_ticks() - start) & 0xffffff) < 3580) {
    }
  }
}

int test_pci(void) {
  if (pci_read(0, 0, 0) != 0x12378086) return failed("00:00.0 is", pci_read(0, 0, 0));
  if (pci_read(1, 0, 0) != 0x70008086) return failed("00:01.0 is", pci_read(1, 0, 0));
  if (pci_read(1, 1, 0) != 0x70108086) return failed("00:01.1 is", pci_read(1, 1, 0));
  if (pci_read(1, 3, 0) != 0x71138086) return failed("00:01.3 is", pci_read(1, 3, 0));
  if (pci_read(31, 7, 0) != 0xffffffff) return failed("00:1f.7 is", pci_read(31, 7, 0));
  return 1;
}

int test_pm_timer(void) {
  uint32_t last = pm_ticks(), moved = 0;
  for (int i = 0; i < 1000; i++) {
    uint32_t now = pm_ticks(), step = (now - last) & 0xffffff;
    if (step > 0x800000) return failed("it went back", step);
    moved += step;
    last = now;
  }
  return moved ? 1 : failed("it stands still at", last);
}

static uint8_t cmos(uint8_t index) {
  outb(0x70, index);
  return inb(0x71);
}

static int bcd_below(uint8_t value, int limit) {
  return (value & 15) < 10 && (value >> 4) * 10 + (value & 15) < limit;
}

int test_rtc(void) {
  if (!(cmos(0xd) & 0x80)) return failed("register D says the battery is dead", cmos(0xd));
  if (!bcd_below(cmos(0), 60) || !bcd_below(cmos(2), 60)) return failed("seconds", cmos(0));
  if (!bcd_below(cmos(8), 13)) return failed("month", cmos(8));
  return 1;
}

int test_keyboard_controller(void) {
  for (int i = 0; i < 100 && (inb(0x64) & 1); i++) inb(0x60);
  outb(0x64, 0xaa);  // self test
  for (int i = 0; i < 1000 && !(inb(0x64) & 1); i++) wait_ms(1);
  uint8_t answer = inb(0x60);
  return answer == 0x55 ? 1 : failed("self test says", answer);
}

int test_fw_cfg(void) {
  outw(0x510, 0);
  for (const char* want = "QEMU"; *want; want++) {
    uint8_t c = inb(0x511);
    if (c != *want) return failed("signature byte", c);
  }
  return 1;
}

uint32_t cpus_by_fw_cfg(void) {
  outw(0x510, 5);
  uint32_t low = inb(0x511);
  return low | (uint32_t)inb(0x511) << 8;
}

void power_off(void) { outw(pm_io() + 4, 0x2000); }  // PM1a_CNT: SLP_EN, SLP_TYP 0 (S5)

void reset_machine(void) { outb(0x64, 0xfe); }
