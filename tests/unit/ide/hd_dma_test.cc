// The hard disk and the bus master: tables of every kind, stopping, TRIM.
#include "tests/unit/ide/hd_rig.h"

namespace rhea {
namespace {

using namespace ata;
using HdDma = HdRig;
constexpr uint8_t kActive = BmdmaChannel::kActive, kInterrupt = BmdmaChannel::kInterrupt;

TEST_F(HdDma, WritesAndReadsMemoryInPieces) {
  IdeHd& hd = plug_disk();
  for (uint64_t i = 0; i < 1024; ++i) memory_space().store(0x10000 + i, i * 7, 1);
  set_prds({{0x10000, 6}, {0x10006, 1018 | kEot}});
  send(kWriteDma, {.lba = 3, .count = 2});
  EXPECT_EQ(in(0x3f6), kReady | kDrq) << "waits for the bus master";
  out(kBmdma, 1);
  run_until([&] { return dma_status() == kInterrupt; });
  expect_done();
  for (unsigned i = 0; i < 1024; ++i)
    ASSERT_EQ(disk_node(hd).bytes[3 * 512 + i], static_cast<uint8_t>(i * 7)) << i;
  set_prds({{0x20000, 1024 | kEot}});
  send(kReadDma, {.lba = 3, .count = 2});
  start_dma();
  run_until([&] { return dma_status() == kInterrupt; });
  expect_done();
  for (unsigned i = 0; i < 1024; ++i) ASSERT_EQ(ram(0x20000 + i), static_cast<uint8_t>(i * 7)) << i;
}

TEST_F(HdDma, StatusTellsHowTableAndTransferCompare) {
  plug_disk();
  struct Case {
    uint32_t prd;
    uint8_t status, after_stop;
  };
  for (const Case& c :
       {Case{256, 0, 0}, Case{512, kInterrupt, kInterrupt}, Case{1024, kActive | kInterrupt, kInterrupt},
        Case{0, kActive | kInterrupt, kInterrupt}}) {
    for (const bool stop : {false, true}) {
      set_prds({{0x10000, c.prd | kEot}});
      send(kReadDma, {.count = 1});
      start_dma();
      if (stop) out(kBmdma, 0);
      run_until([&] { return (in(0x3f6) & (kBsy | kDrq)) == 0; });
      EXPECT_EQ(dma_status(), stop ? c.after_stop : c.status) << c.prd;
      EXPECT_EQ(in(0x1f7), kReady);
      out(kBmdma, 0);
      EXPECT_EQ(dma_status() & kActive, 0);
    }
  }
}

TEST_F(HdDma, ATableWithoutEndServesItsTransfer) {
  plug_disk();
  set_prds({{0x10000, 0}, {0x20000, 0}, {0x30000, 0}});
  send(kReadDma, {.count = 0});  // 256 sectors
  start_dma();
  run_until([&] { return (dma_status() & kInterrupt) != 0; });
  EXPECT_EQ(dma_status(), kActive | kInterrupt);
  expect_done();
}

TEST_F(HdDma, WithoutTheBusNothingMoves) {
  IdeHd& hd = plug_disk();
  std::ranges::fill(disk_node(hd).bytes, uint8_t{0xee});
  memory_space().store(0x10000, 0x11, 1);
  set_prds({{0x10000, 512 | kEot}});
  ide->config_write(pci::kCommand, pci::kCommandIo, 2);
  send(kReadDma, {.count = 1});
  start_dma();
  run_until([&] { return (dma_status() & kInterrupt) != 0; });
  EXPECT_EQ(ram(0x10000), 0x11);
  EXPECT_EQ(ram(0), 0);
}

TEST_F(HdDma, TrimsRanges) {
  IdeHd& hd = plug_disk();
  auto range = [&](uint64_t at, uint64_t lba, uint64_t count) {
    memory_space().store(0x10000 + 8 * at, lba | count << 48, 8);
  };
  range(0, 0, 2), range(1, 6, 8), range(2, 9, 0);
  set_prds({{0x10000, 512 | kEot}});
  send(kDataSetManagement, {.count = 1, .feature = 1});
  out(kBmdma, 1);
  run_until([&] { return dma_status() == kInterrupt; });
  expect_done();
  ASSERT_EQ(disk_node(hd).discarded.size(), 2u);
  EXPECT_EQ(disk_node(hd).discarded[1], ByteRange(6 * 512, 8 * 512));
  range(1, 2047, 2);  // past the end
  set_prds({{0x10000, 512 | kEot}});
  send(kDataSetManagement, {.count = 1, .feature = 1});
  out(kBmdma, 1);
  run_until([&] { return dma_status() == kInterrupt; });
  expect_abort();
  command(kDataSetManagement, {.count = 1, .feature = 0});
  expect_abort();
}

TEST_F(HdDma, AResetWaitsForTheWriteUnderWay) {
  IdeHd& hd = plug_disk();
  DiskNode& node = disk_node(hd);
  node.hold = true;
  set_prds({{0x10000, 512 | kEot}});
  send(kWriteDma, {.count = 1});
  out(kBmdma, 1);
  run_until([&] { return node.requests == 2; });  // one was the geometry's
  out(0x3f6, kSoftReset);
  out(0x3f6, 0);
  EXPECT_EQ(in(0x3f6), kBsy);
  node.release();
  run_until([&] { return in(0x3f6) == kReady; });
  EXPECT_TRUE(hd.is_quiet());
}

}  // namespace
}  // namespace rhea
