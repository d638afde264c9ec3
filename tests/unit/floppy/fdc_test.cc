// What the device tests cannot reach: a disk that is slow or bad, saved state, hostile streams.
#include <random>

#include "tests/unit/floppy/fdc_rig.h"

namespace rhea {
namespace {

using Result7 = std::vector<uint8_t>;
constexpr uint8_t kFromDisk = 0x44, kToDisk = 0x48;

TEST_F(FdcRig, ReadErrorIsADataError) {
  set_dma(512, kFromDisk);
  disk->fail_next = EIO;
  send({0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(result(), (Result7{0x40, 0x20, 0x20, 0, 0, 3, 2}));
}

TEST_F(FdcRig, WriteErrorIsADataError) {
  set_dma(512, kToDisk);
  disk->fail_next = ENOSPC;
  send({0x45, 0, 0, 0, 3, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(result(), (Result7{0x40, 0x20, 0x20, 0, 0, 3, 2}));
}

TEST_F(FdcRig, ResetGivesUpAReadThatIsUnderWay) {
  disk->hold = true;
  set_dma(512, kFromDisk);
  send({0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(in(4), 0x10);
  out(4, 0x80);
  EXPECT_EQ(in(4), 0x80);
  EXPECT_EQ(irq.now, 1);
  send({0x46, 0, 0, 0, 5, 2, 18, 0x1b, 0xff});  // waits for the disk, then has its own data
  disk->release();
  EXPECT_EQ(result(), (Result7{0, 0, 0, 0, 0, 6, 2}));
  EXPECT_EQ(memory_space().load(kBuffer, 1), 4u);
}

TEST_F(FdcRig, PartOfASectorIsFilledUpWithZeroes) {
  memory_space().store(kBuffer, 0xabcd, 2);
  set_dma(2, kToDisk);
  send({0x45, 0, 0, 0, 3, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(result(), (Result7{0, 0, 0, 0, 0, 3, 2}));
  EXPECT_EQ(disk->bytes[1024], 0xcd);
  EXPECT_EQ(disk->bytes[1025], 0xab);
  EXPECT_EQ(disk->bytes[1026], 0);
  EXPECT_EQ(disk->bytes[1535], 0);
}

TEST_F(FdcRig, StateHasTheLayoutOfTheField) {
  send({0x0f, 0, 1, 0x08});
  EXPECT_EQ(result(), (Result7{0x20, 1}));
  const std::vector<uint8_t> bytes = save();
  // As QEMU 7.2 sends it of a machine with a disk that has been looked at.
  ASSERT_EQ(bytes.size(), 620u);
  EXPECT_EQ(bytes[1], 0xc0);  // SRB
  EXPECT_EQ(bytes[2], 0x0c);  // DOR
  EXPECT_EQ(bytes[5], 0x80);  // MSR
  EXPECT_EQ(bytes[9 + 512 + 8 + 6], 0x60);
  EXPECT_EQ(bytes[9 + 512 + 8 + 9], 2);
}

TEST_F(FdcRig, ACommandHalfSentTravels) {
  send({0x0f, 0});
  const std::vector<uint8_t> bytes = save();
  out(4, 0x80);
  ASSERT_TRUE(load(bytes));
  send({9});
  EXPECT_EQ(irq.now, 1);
  send({0x08});
  EXPECT_EQ(result(), (Result7{0x20, 9}));
}

TEST_F(FdcRig, AReadHalfDoneTravels) {
  out(2, 0x14);
  send({0x46, 0, 0, 0, 4, 2, 5, 0x1b, 0xff});
  ASSERT_TRUE(reaches(0xe0, 0xe0));
  for (int i = 0; i < 300; ++i) EXPECT_EQ(in(5), 3);
  const std::vector<uint8_t> bytes = save();
  out(4, 0x80);
  ASSERT_TRUE(load(bytes));
  for (int i = 300; i < 512; ++i) EXPECT_EQ(in(5), 3);
  for (int i = 0; i < 512; ++i) {
    ASSERT_TRUE(reaches(0xe0, 0xe0));
    EXPECT_EQ(in(5), 4);
  }
  EXPECT_EQ(result(), (Result7{0, 0, 0, 0, 0, 5, 2}));
}

TEST_F(FdcRig, AWriteThatWaitsForTheDiskTravels) {
  disk->hold = true;
  memory_space().store(kBuffer, 0x77, 1);
  set_dma(512, kToDisk);
  send({0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff});
  const std::vector<uint8_t> bytes = save();
  disk->release();
  EXPECT_EQ(result()[0], 0);
  disk->bytes[512] = 0;
  ASSERT_TRUE(load(bytes));
  EXPECT_EQ(result(), (Result7{0, 0, 0, 0, 0, 3, 2}));
  EXPECT_EQ(disk->bytes[512], 0x77);
}

TEST_F(FdcRig, AStreamCutAnywhereIsRefused) {
  const std::vector<uint8_t> bytes = save();
  const size_t fields = 9 + 512 + 8 + 10 + 3;
  for (size_t n = 0; n < fields; ++n) EXPECT_FALSE(load(std::span(bytes).first(n))) << n;
}

TEST_F(FdcRig, NoStreamAndNoRegisterBreaksIt) {
  std::mt19937 random(4711);
  const std::vector<uint8_t> good = save();
  for (int round = 0; round < 400; ++round) {
    std::vector<uint8_t> bytes = good;
    for (int n = 0; n < 4; ++n) {
      const size_t at = random() % 3 == 0 ? random() % bytes.size()
                                          : (random() % 2 == 0 ? random() % 9 : 521 + random() % 21);
      bytes[at] = static_cast<uint8_t>(random());
    }
    std::ignore = load(bytes);
    for (int n = 0; n < 40; ++n) {
      if (random() % 3 == 0) in(1 + random() % 7);
      out(1 + random() % 7, static_cast<uint8_t>(random()));
      loop->run_once(false);
    }
  }
  out(2, 0);
  out(2, 0x0c);
  for (int n = 0; n < 64; ++n) loop->run_once(false);
  EXPECT_EQ(in(4), 0x80);
}

}  // namespace
}  // namespace rhea
