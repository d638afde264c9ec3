// Commands to a hard disk at unit 0 of the primary channel.
#pragma once

#include "tests/unit/ide/ide_rig.h"

namespace rhea {

/// What a command is given; `device` 0xe0: unit 0, LBA.
struct Registers {
  uint8_t lba = 0, mid = 0, high = 0, count = 0, feature = 0, device = 0xe0;
};

class HdRig : public IdeRig {
 protected:
  void send(uint8_t opcode, const Registers& r) {
    out(0x1f6, r.device);
    out(0x1f1, r.feature);
    out(0x1f2, r.count);
    out(0x1f3, r.lba);
    out(0x1f4, r.mid);
    out(0x1f5, r.high);
    out(0x1f7, opcode);
  }
  void command(uint8_t opcode, const Registers& r) {
    send(opcode, r);
    wait_not_busy();
  }
  std::vector<uint8_t> read_data(size_t bytes) {
    std::vector<uint8_t> data;
    while (data.size() < bytes) {
      wait_not_busy();
      if ((in(0x1f7) & ata::kDrq) == 0) break;
      const auto word = static_cast<uint16_t>(io_space().load(0x1f0, 2));
      data.push_back(static_cast<uint8_t>(word));
      data.push_back(static_cast<uint8_t>(word >> 8));
    }
    wait_not_busy();
    return data;
  }
  void write_data(size_t bytes, uint8_t value) {
    for (size_t i = 0; i < bytes; i += 2) {
      wait_not_busy();
      io_space().store(0x1f0, value * 0x0101u, 2);
    }
    wait_not_busy();
  }
  void expect_done() {
    EXPECT_EQ(irqs.now[0], 1);
    EXPECT_EQ(in(0x1f7), ata::kReady);
    EXPECT_EQ(irqs.now[0], 0);
  }
  void expect_abort() {
    EXPECT_EQ(irqs.now[0], 1);
    EXPECT_EQ(in(0x1f1), ata::kAbort);
    EXPECT_EQ(in(0x1f7), ata::kFailed);
  }
  std::vector<uint16_t> identify() {
    command(ata::kIdentify, {});
    const std::vector<uint8_t> data = read_data(512);
    std::vector<uint16_t> words;
    for (size_t i = 0; i + 1 < data.size(); i += 2) words.push_back(load_le<uint16_t>(&data[i]));
    words.resize(256);
    return words;
  }
  static std::string text(const std::vector<uint16_t>& words, size_t at, size_t bytes) {
    std::string out;
    for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(words[at + i / 2] >> (i % 2 == 0 ? 8 : 0));
    return out;
  }
  uint8_t dma_status() { return in(kBmdma + 2) & 7; }
  static constexpr uint32_t kEot = 0x8000'0000;
};

}  // namespace rhea
