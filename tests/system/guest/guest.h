// The test guest: a freestanding program that exercises the machine and reports over the first serial port.
#pragma once
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v) {
  __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outw(uint16_t port, uint16_t v) {
  __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t v) {
  __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port) {
  uint8_t v;
  __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
static inline uint16_t inw(uint16_t port) {
  uint16_t v;
  __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
static inline uint32_t inl(uint16_t port) {
  uint32_t v;
  __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}

// serial.c: 16550 at 3F8h.
void serial_init(void);
void put(const char* text);
void put_hex(uint32_t value);
char get(void);  // waits without limit: whoever started the guest bounds that
int test_serial_loopback(void);
int test_serial_irq(void);

// interrupts.c: both 8259s at vectors 20h-2Fh, the local APIC's timer at 40h.
enum { kVectorPic = 0x20, kVectorLapicTimer = 0x40 };
extern volatile uint32_t interrupt_count[256];
void interrupts_init(void);
void irq_unmask(int irq);
void irq_mask(int irq);
int wait_count(int vector, uint32_t above,
               uint32_t ms);  // 1 when interrupt_count[vector] passed `above` in time
int test_pit(void);
int test_lapic(void);
int test_ioapic(void);
int test_smp(void);

// platform.c
uint32_t pci_read(int device, int function, int offset);
void pci_write(int device, int function, int offset, uint32_t value);
int test_pci(void);
int test_pm_timer(void);
int test_rtc(void);
int test_keyboard_controller(void);
int test_fw_cfg(void);
uint32_t pm_ticks(void);    // 3.579545 MHz, 24 bits
void wait_ms(uint32_t ms);  // by the PM timer
uint32_t cpus_by_fw_cfg(void);
void power_off(void);
void reset_machine(void);

// atapi.c
int test_atapi_identify(void);
int test_atapi_inquiry(void);
int test_atapi_capacity(void);
int test_atapi_read(void);
int test_atapi_bad_lba(void);
int test_atapi_dma(void);
int test_media_change(void);
int test_guest_eject(void);

// A test returns 1 for success; before returning 0 it says why.
int failed(const char* why, uint32_t value);
