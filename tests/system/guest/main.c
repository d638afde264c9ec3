// Runs the tests in order and reports: "TEST name ok" or "TEST name FAILED why value", then "DONE ok failed".
// Then one character says how to end: x isa-debug-exit, p ACPI soft-off, r reset, c the disc tests and again.
#include "guest.h"

struct Test {
  const char* name;
  int (*run)(void);
};

static const struct Test kTests[] = {
    {"serial-loopback", test_serial_loopback}, {"pci", test_pci}, {"fw-cfg", test_fw_cfg},
    {"pm-timer", test_pm_timer}, {"pit", test_pit}, {"serial-irq", test_serial_irq}, {"rtc", test_rtc},
    {"keyboard-controller", test_keyboard_controller}, {"lapic", test_lapic}, {"ioapic", test_ioapic},
    {"smp", test_smp}, {"atapi-identify", test_atapi_identify}, {"atapi-inquiry", test_atapi_inquiry},
    {"atapi-capacity", test_atapi_capacity}, {"atapi-read", test_atapi_read},
    {"atapi-bad-lba", test_atapi_bad_lba}, {"atapi-dma", test_atapi_dma}};
static const struct Test kDiscTests[] = {{"media-change", test_media_change}, {"guest-eject", test_guest_eject}};

int failed(const char* why, uint32_t value) {
  put("FAILED ");
  put(why);
  put(" ");
  put_hex(value);
  put("\n");
  return 0;
}

static void run(const struct Test* tests, int count) {
  uint32_t good = 0, bad = 0;
  for (int i = 0; i < count; i++) {
    put("TEST ");
    put(tests[i].name);
    put(" ");
    if (tests[i].run()) {
      put("ok\n");
      good++;
    } else {
      bad++;
    }
  }
  put("DONE ");
  put_hex(good);
  put(" ");
  put_hex(bad);
  put("\n");
}

void guest_main(void) {
  serial_init();
  interrupts_init();
  put("\nRhea test guest\n");
  run(kTests, sizeof(kTests) / sizeof(kTests[0]));
  for (;;) {
    char c = get();
    if (c == 'x') outb(0xf4, 0x10);
    if (c == 'p') power_off();
    if (c == 'r') reset_machine();
    if (c == 'c') run(kDiscTests, sizeof(kDiscTests) / sizeof(kDiscTests[0]));
  }
}
