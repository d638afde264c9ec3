// An ATAPI CD-ROM by PIO and bus-master DMA (ATA/ATAPI-6; MMC-4; SFF bus-master IDE 1.0).
#include "guest.h"

enum { kData = 0, kFeatures = 1, kReason = 2, kLow = 4, kHigh = 5, kSelect = 6, kCommand = 7 };
enum { kBusy = 0x80, kDrq = 0x08, kErr = 0x01 };

static uint16_t base;     // of the channel with the drive
static uint8_t select_;   // device register
static int channel;       // 0 primary (IRQ 14), 1 secondary (IRQ 15)
static uint8_t buffer[4096] __attribute__((aligned(4096)));
static uint32_t prd[2] __attribute__((aligned(8)));

static int wait_idle(void) {
  for (int i = 0; i < 5000; i++) {
    for (int j = 0; j < 50; j++)
      if (!(inb(base + kCommand) & kBusy)) return 1;
    wait_ms(1);
  }
  return 0;
}

static int is_packet_device(int ch, uint8_t device) {
  base = ch ? 0x170 : 0x1f0;
  select_ = device;
  outb(base + kSelect, device);
  if (inb(base + kCommand) == 0xff) return 0;
  outb(base + kCommand, 0xec);  // IDENTIFY DEVICE: a packet device aborts it and leaves its signature
  if (!wait_idle()) return 0;
  return inb(base + kLow) == 0x14 && inb(base + kHigh) == 0xeb;
}

static int find_drive(void) {
  for (channel = 0; channel < 2; channel++)
    if (is_packet_device(channel, 0xa0) || is_packet_device(channel, 0xb0)) return 1;
  return 0;
}

static int send_packet(const uint8_t* cdb, int dma, uint16_t limit) {
  outb(base + kSelect, select_);
  outb(base + kFeatures, (uint8_t)dma);
  outb(base + kLow, (uint8_t)limit);
  outb(base + kHigh, (uint8_t)(limit >> 8));
  outb(base + kCommand, 0xa0);
  if (!wait_idle() || !(inb(base + kCommand) & kDrq)) return 0;
  if ((inb(base + kReason) & 3) != 1) return 0;  // CoD: the drive wants a command
  for (int i = 0; i < 6; i++) outw(base + kData, (uint16_t)(cdb[2 * i] | cdb[2 * i + 1] << 8));
  return 1;
}

// Runs a command that sends data to us by PIO. Returns the bytes received, or -1 after CHECK CONDITION.
static int packet(const uint8_t* cdb, int size) {
  if (!send_packet(cdb, 0, 2048)) return -2;
  int got = 0;
  while (wait_idle()) {
    uint8_t status = inb(base + kCommand);
    if (status & kErr) return -1;
    if (!(status & kDrq)) return got;
    int count = inb(base + kLow) | inb(base + kHigh) << 8;
    for (int i = 0; i < count; i += 2) {
      uint16_t word = inw(base + kData);
      if (got + 1 < size) buffer[got] = (uint8_t)word, buffer[got + 1] = (uint8_t)(word >> 8);
      got += 2;
    }
  }
  return -2;
}

static int simple(uint8_t opcode, uint8_t byte4) {
  uint8_t cdb[12] = {opcode, 0, 0, 0, byte4};
  return packet(cdb, sizeof(buffer));
}

// REQUEST SENSE: key << 8 | additional sense code.
static uint32_t sense(void) {
  if (simple(0x03, 18) < 14) return 0xffff;
  return (uint32_t)(buffer[2] & 15) << 8 | buffer[12];
}

static int read10(uint32_t lba) {
  uint8_t cdb[12] = {0x28, 0, (uint8_t)(lba >> 24), (uint8_t)(lba >> 16), (uint8_t)(lba >> 8), (uint8_t)lba, 0, 0, 1};
  return packet(cdb, sizeof(buffer));
}

static uint32_t be32(const uint8_t* p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int same(const uint8_t* data, const char* text) {
  for (; *text; text++, data++)
    if (*data != (uint8_t)*text) return 0;
  return 1;
}

// Takes whatever the drive wants to say after power-on, until it is ready.
static void settle(void) {
  for (int i = 0; i < 10 && simple(0x00, 0) == -1; i++) sense();
}

int test_atapi_identify(void) {
  if (!find_drive()) return failed("no ATAPI signature on any channel", 0);
  outb(base + kSelect, select_);
  outb(base + kCommand, 0xa1);  // IDENTIFY PACKET DEVICE
  if (!wait_idle() || !(inb(base + kCommand) & kDrq)) return failed("status", inb(base + kCommand));
  uint16_t general = 0;
  for (int i = 0; i < 256; i++) {
    uint16_t word = inw(base + kData);
    if (i == 0) general = word;
  }
  return (general & 0xff00) == 0x8500 ? 1 : failed("word 0", general);
}

int test_atapi_inquiry(void) {
  settle();
  int got = simple(0x12, 36);
  if (got < 36) return failed("bytes", (uint32_t)got);
  if (buffer[0] != 5 || !(buffer[1] & 0x80)) return failed("not a removable CD-ROM", buffer[0]);
  return 1;
}

int test_atapi_capacity(void) {
  if (simple(0x25, 0) != 8) return failed("no 8 bytes, sense", sense());
  if (be32(buffer + 4) != 2048) return failed("block size", be32(buffer + 4));
  if (be32(buffer) < 16) return failed("last block", be32(buffer));
  return 1;
}

int test_atapi_read(void) {
  uint32_t before = interrupt_count[kVectorPic + 14 + channel];
  irq_unmask(14 + channel);
  int got = read10(16);
  if (got != 2048) return failed("bytes", (uint32_t)got);
  if (!same(buffer, "\001CD001")) return failed("block 16 is no volume descriptor", be32(buffer));
  return wait_count(kVectorPic + 14 + channel, before, 1000) ? 1 : failed("no interrupt", 0);
}

int test_atapi_bad_lba(void) {
  if (read10(0x00f00000) != -1) return failed("a block past the end was read", 0);
  uint32_t s = sense();
  return s == 0x521 ? 1 : failed("sense is not 5/21", s);
}

int test_atapi_dma(void) {
  uint16_t bm = (pci_read(1, 1, 0x20) & 0xfff0) + 8 * channel;
  pci_write(1, 1, 4, pci_read(1, 1, 4) | 5);  // I/O space, bus master
  for (int i = 0; i < 2048; i++) buffer[i] = 0;
  prd[0] = (uint32_t)buffer, prd[1] = 0x80000000u | 2048;
  outb(bm, 0);
  outb(bm + 2, inb(bm + 2) | 6);  // clears interrupt and error
  outl(bm + 4, (uint32_t)prd);
  uint8_t cdb[12] = {0x28, 0, 0, 0, 0, 16, 0, 0, 1};
  if (!send_packet(cdb, 1, 2048)) return failed("status", inb(base + kCommand));
  outb(bm, 9);  // start, towards memory
  for (int i = 0; i < 5000 && !(inb(bm + 2) & 4); i++) wait_ms(1);
  uint8_t status = inb(bm + 2);
  outb(bm, 0);
  if (!wait_idle() || (inb(base + kCommand) & kErr)) return failed("the command failed, sense", sense());
  if ((status & 6) != 4) return failed("bus-master status", status);
  return same(buffer, "\001CD001") ? 1 : failed("wrong data", be32(buffer));
}

// The host changes the disc after CHANGE and answers with a character.
int test_media_change(void) {
  put("CHANGE\n");
  get();
  if (simple(0x00, 0) != -1) return failed("the change went unnoticed", 0);
  uint32_t first = sense();
  if (first != 0x23a) return failed("first sense is not 2/3a", first);
  if (simple(0x00, 0) != -1) return failed("no unit attention", 0);
  uint32_t second = sense();
  if (second != 0x628) return failed("second sense is not 6/28", second);
  if (simple(0x00, 0) != 0) return failed("not ready after that, sense", sense());
  if (read10(16) != 2048) return failed("cannot read, sense", sense());
  return same(buffer + 40, "RHEA_CHANGED") ? 1 : failed("the old disc's label", be32(buffer + 40));
}

// START STOP UNIT opens the tray (the host sees it move), then closes it.
int test_guest_eject(void) {
  if (simple(0x1b, 2) < 0) return failed("eject failed, sense", sense());
  if (simple(0x00, 0) != -1) return failed("ready with an open tray", 0);
  uint32_t s = sense();
  if (s >> 8 != 2 || (s & 0xff) != 0x3a) return failed("sense is not 2/3a", s);
  put("EJECTED\n");
  get();
  if (simple(0x1b, 3) < 0) return failed("load failed, sense", sense());
  settle();
  return simple(0x00, 0) == 0 ? 1 : failed("not ready after load, sense", sense());
}
