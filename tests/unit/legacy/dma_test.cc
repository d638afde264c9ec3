#include "hw/dma/i8257.h"

#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

class Dma : public IsaBoard {
 protected:
  Dma() {
    second->set_up_as_second();
    for (auto& dma : {first, second}) {
      dma->memory = &space;
      plug(dma);
      EXPECT_TRUE(dma->realize());
      dma->reset();
    }
    memory->add_subregion(0, *ram);
  }
  ~Dma() override {
    first->unrealize();
    second->unrealize();
  }
  void program(uint8_t mode, uint32_t address, uint16_t count) {  // channel 2
    out(0x0c, 0);
    out(0x0b, static_cast<uint8_t>(mode | 2));
    out(0x04, static_cast<uint8_t>(address));
    out(0x04, static_cast<uint8_t>(address >> 8));
    out(0x81, static_cast<uint8_t>(address >> 16));
    out(0x05, static_cast<uint8_t>(count));
    out(0x05, static_cast<uint8_t>(count >> 8));
    out(0x0a, 0x02);
  }
  unsigned word(uint16_t port) {
    out(0x0c, 0);
    const unsigned low = in(port);
    return low | unsigned{in(port)} << 8;
  }
  static constexpr uint64_t kRamBytes = 256 << 10;
  std::shared_ptr<RamBlock> block = *RamBlock::create("ram", kRamBytes);
  std::unique_ptr<MemoryRegion> memory = MemoryRegion::container("memory", MemoryRegion::kWholeSpace);
  std::unique_ptr<MemoryRegion> ram = MemoryRegion::ram("ram", block);
  AddressSpace space{"memory", *memory};
  std::shared_ptr<I8257> first = std::make_shared<I8257>();
  std::shared_ptr<I8257> second = std::make_shared<I8257>();
};

TEST_F(Dma, MovesToMemoryUntilTerminalCount) {
  program(0x44, 0x1fffe, 3);
  EXPECT_EQ(first->bytes_left(2), 4U);
  const std::array<uint8_t, 6> data = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(first->write_memory(2, data), 4U);
  EXPECT_EQ(space.load(0x1fffe, 2), 0x0201U);
  EXPECT_EQ(space.load(0x10000, 2), 0x0403U) << "wraps within its page";
  EXPECT_EQ(in(0x08), 0x04);
  EXPECT_EQ(in(0x08), 0x00);
  EXPECT_FALSE(first->ready(2)) << "masks itself";
  EXPECT_EQ(first->write_memory(2, data), 0U);
  EXPECT_EQ(word(0x05), 0xffffU);
}

TEST_F(Dma, MovesFromMemoryAndStartsAnewByItself) {
  space.store(0x2000, 0x44332211, 4);
  program(0x58, 0x2000, 3);
  std::array<uint8_t, 3> data{};
  EXPECT_EQ(first->write_memory(2, data), 0U) << "the other way";
  EXPECT_EQ(first->read_memory(2, data), 3U);
  EXPECT_EQ(data, (std::array<uint8_t, 3>{0x11, 0x22, 0x33}));
  EXPECT_EQ(word(0x04), 0x2003U);
  EXPECT_EQ(word(0x05), 0x0000U);
  EXPECT_EQ(first->read_memory(2, data), 1U);
  EXPECT_TRUE(first->ready(2));
  EXPECT_EQ(first->bytes_left(2), 4U);
}

TEST_F(Dma, CountsDown) {
  program(0x64, 0x3003, 3);
  EXPECT_EQ(first->write_memory(2, std::array<uint8_t, 4>{1, 2, 3, 4}), 4U);
  EXPECT_EQ(space.load(0x3000, 4), 0x01020304U);
}

TEST_F(Dma, TheSecondControllerMovesWords) {
  out(0xd8, 0);
  out(0xd6, 0x45);
  out(0xc4, 0x00);
  out(0xc4, 0x80);
  out(0x8b, 0x02);
  out(0xc6, 0x01);
  out(0xc6, 0x00);
  out(0xd4, 0x01);
  EXPECT_EQ(second->bytes_left(1), 4U);
  EXPECT_EQ(second->write_memory(1, std::array<uint8_t, 4>{1, 2, 3, 4}), 4U);
  EXPECT_EQ(space.load(0x30000, 4), 0x04030201U);
}

TEST_F(Dma, TellsAWaitingDeviceAndKeepsPages) {
  int calls = 0;
  first->on_ready[2] = [&] { ++calls; };
  program(0x44, 0, 0);
  EXPECT_EQ(calls, 1);
  out(0x0d, 0);
  EXPECT_EQ(in(0x0f), 0x0f) << "master clear masks all";
  for (uint16_t port : {0x81, 0x82, 0x83, 0x87, 0x89, 0x8a, 0x8b, 0x8f}) {
    out(port, static_cast<uint8_t>(port));
    EXPECT_EQ(in(port), port);
  }
}

TEST_F(Dma, StateSurvivesAndHostileStateIsRefusedOrHarmless) {
  program(0x44, 0x1234, 0x100);
  first->write_memory(2, std::array<uint8_t, 5>{});
  const auto saved = save(*first);
  EXPECT_EQ(saved.size(), 3U + 4 + 4 * (8 + 4 + 5));
  first->reset();
  ASSERT_TRUE(load(*first, saved));
  EXPECT_EQ(save(*first), saved);
  EXPECT_EQ(first->bytes_left(2), 0xfcU);
  load_hostile(*first, saved, [this] {
    std::array<uint8_t, 300> data{};
    for (unsigned n = 0; n < 4; ++n) {
      first->write_memory(n, data);
      first->read_memory(n, data);
    }
    word(0x04);
    in(0x08);
  });
  EXPECT_FALSE(load(*second, saved)) << "another width";
}

}  // namespace
}  // namespace rhea
