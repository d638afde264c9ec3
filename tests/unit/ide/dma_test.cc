// The bus master: registers, tables with every oddity, transfers straight into RAM, stopping in the middle.
#include "tests/unit/ide/ide_rig.h"

namespace rhea {
namespace {

using namespace ata;
constexpr uint32_t kEot = 0x8000'0000;

struct RegisterCase {
  const char* name;
  BmdmaState before;
  unsigned offset;
  uint8_t write, reads_back;
};
class BmdmaRegister : public testing::TestWithParam<RegisterCase> {};

TEST_P(BmdmaRegister, ReadsBackAfterWrite) {
  BmdmaChannel channel;  // no machine, no RAM, no drive
  channel.state = GetParam().before;
  channel.write(GetParam().offset, GetParam().write);
  EXPECT_EQ(channel.read(GetParam().offset), GetParam().reads_back);
}
INSTANTIATE_TEST_SUITE_P(Sff, BmdmaRegister,
                         testing::ValuesIn(std::to_array<RegisterCase>({
                             {"CommandKeepsDefinedBits", {}, 0, 0xff, 0x09},
                             {"StatusClearsErrorByWritingOne", {.status = 0x06}, 2, 0x02, 0x04},
                             {"StatusClearsInterruptByWritingOne", {.status = 0x06}, 2, 0x04, 0x02},
                             {"StatusKeepsCapableBits", {}, 2, 0x60, 0x60},
                             {"StatusActiveIsReadOnly", {.status = 0x01}, 2, 0x00, 0x01},
                             {"TablePointerIsAligned", {}, 4, 0xff, 0xfc},
                             {"TablePointerHighByte", {}, 7, 0xab, 0xab},
                             {"UnusedOffsetReadsOnes", {}, 1, 0x12, 0xff},
                         })),
                         [](const auto& p) { return p.param.name; });

class Dma : public IdeRig {
 protected:
  IdeCd& plug_disc() {
    disc("n", 1 << 20);
    return plug(0, R"({"drive": "n"})");
  }
  void read_sectors(uint8_t lba, uint8_t count) { send_packet({0x28, 0, 0, 0, 0, lba, 0, 0, count}, 0, 1); }
  uint8_t dma_status() { return in(kBmdma + 2); }
  void expect_disc(uint64_t at, uint64_t offset, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; ++i) ASSERT_EQ(ram(at + i), disc_byte(offset + i)) << i;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) loop->run_once(false);
  }
};

TEST_F(Dma, ReadsIntoMemory) {
  plug_disc();
  set_prds({{0x10000, 2048}, {0x20000, 2048 | kEot}});
  read_sectors(3, 2);
  EXPECT_EQ(in(0x3f6), kReady | kDrq) << "the drive waits for the bus master";
  EXPECT_EQ(dma_status(), 0);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
  EXPECT_EQ(irqs.now[0], 1);
  EXPECT_EQ(in(0x1f2), kCommandPhase | kToHost);
  EXPECT_EQ(in(0x1f7), kReady);
  expect_disc(0x10000, 3 * 2048, 2048);
  expect_disc(0x20000, 4 * 2048, 2048);
  EXPECT_EQ(ram(0x10800), 0);
}

TEST_F(Dma, TheDataRegisterDoesNotEndADmaTransfer) {
  plug_disc();
  set_prds({{0x10000, 2048 | kEot}});
  read_sectors(5, 1);
  EXPECT_EQ(io_space().load(0x1f0, 2), 0u);
  io_space().store(0x1f0, 0xffff, 2);
  EXPECT_EQ(in(0x3f6), kReady | kDrq);
  out(0x1f7, kPacket);
  start_dma();
  wait_not_busy();
  expect_disc(0x10000, 5 * 2048, 2048);
}

TEST_F(Dma, TheBusMasterMayBeStartedFirst) {
  plug_disc();
  set_prds({{0x10000, 2048 | kEot}});
  start_dma();
  EXPECT_EQ(dma_status(), BmdmaChannel::kActive);
  read_sectors(5, 1);
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
  expect_disc(0x10000, 5 * 2048, 2048);
}

TEST_F(Dma, RepliesGoByDmaToo) {
  plug_disc();
  set_prds({{0x10000, 36 | kEot}});
  send_packet({0x12, 0, 0, 0, 36}, 0, 1);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(ram(0x10008), 'Q');
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
}

TEST_F(Dma, RawSectorsGoByDmaToo) {
  plug_disc();
  set_prds({{0x10000, 0}, {0x20000, 0 | kEot}});
  send_packet({0xbe, 0, 0, 0, 0, 7, 0, 0, 40, 0xf8}, 0, 1);
  start_dma();
  wait_not_busy();
  expect_disc(0x10010, 7 * 2048, 2048);
  EXPECT_EQ(ram(0x10001), 0xff);
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt | BmdmaChannel::kActive) << "the table is longer";
}

TEST_F(Dma, OddAndTinyRegions) {
  plug_disc();
  // Odd addresses and counts lose their low bit; 2-byte regions are legal.
  set_prds({{0x10001, 3}, {0x11000, 2}, {0x12000, 2045}, {0x13000, 2048 | kEot}});
  read_sectors(1, 2);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
  expect_disc(0x10000, 2048, 2);
  expect_disc(0x11000, 2050, 2);
  expect_disc(0x12000, 2052, 2044);
  expect_disc(0x13000, 4096, 2048);
}

TEST_F(Dma, CountZeroIs64K) {
  plug_disc();
  set_prds({{0x20000, kEot}});
  read_sectors(0, 32);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
  expect_disc(0x20000, 0, 65536);
}

TEST_F(Dma, ShortTableStopsWithoutInterrupt) {
  plug_disc();
  set_prds({{0x10000, 2048 | kEot}});
  read_sectors(0, 2);
  start_dma();
  settle();
  EXPECT_EQ(dma_status(), 0);
  EXPECT_EQ(irqs.now[0], 0);
  EXPECT_EQ(in(0x3f6), kBsy) << "the drive still has data";
  out(0x3f6, kSoftReset);
  out(0x3f6, 0);
  EXPECT_EQ(in(0x3f6), 0);
  EXPECT_TRUE(packet({0x00}).good());
}

TEST_F(Dma, LongTableStaysActive) {
  plug_disc();
  set_prds({{0x10000, 2048}, {0x20000, 2048 | kEot}});
  read_sectors(0, 1);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt | BmdmaChannel::kActive);
  out(kBmdma, 0);
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
}

TEST_F(Dma, MissingEndOfTableIsBounded) {
  plug_disc();
  for (GuestAddr at = 0x1000; at < 0x11000; at += 8) {
    memory_space().store(at, 0x200000, 4);
    memory_space().store(at + 4, 2, 4);
  }
  io_space().store(kBmdma + 4, 0x1000, 4);
  send_packet({0x28, 0, 0, 0, 0, 0, 0, 0, 16}, 0, 1);
  start_dma();
  run_until([&] { return dma_status() == 0; });  // 8192 regions of 2 bytes hold half of it
  EXPECT_EQ(in(0x3f6), kBsy);
}

TEST_F(Dma, TableOutsideMemory) {
  plug_disc();
  out(kBmdma, 0);
  io_space().store(kBmdma + 4, 0xf0000000, 4);
  read_sectors(0, 1);
  start_dma();
  settle();
  EXPECT_EQ(dma_status() & BmdmaChannel::kActive, 0);
  EXPECT_EQ(irqs.now[0], 0);
}

TEST_F(Dma, RegionsOutsideMemoryAreSwallowed) {
  plug_disc();
  set_prds({{static_cast<uint32_t>(kRamBytes - 1024), 2048}, {0xfffff000, 4096 | kEot}});
  read_sectors(2, 3);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(dma_status(), BmdmaChannel::kInterrupt);
  expect_disc(kRamBytes - 1024, 2 * 2048, 1024);
}

TEST_F(Dma, NoBusMasteringNoTable) {
  plug_disc();
  set_prds({{0x10000, 2048 | kEot}});
  ide->config_write(pci::kCommand, pci::kCommandIo, 2);
  read_sectors(0, 1);
  start_dma();
  settle();
  EXPECT_EQ(dma_status(), BmdmaChannel::kActive | BmdmaChannel::kInterrupt);
  EXPECT_EQ(ram(0x10001), 0);
}

TEST_F(Dma, FailedReadEndsWithCheckCondition) {
  plug_disc();
  static_cast<DiscNode*>(graph.find_node("n"))->fail_next = EIO;
  set_prds({{0x10000, 2048 | kEot}});
  read_sectors(0, 1);
  start_dma();
  wait_not_busy();
  EXPECT_EQ(irqs.now[0], 1);
  EXPECT_EQ(in(0x1f1), 0x30);
  EXPECT_EQ(in(0x1f7), kFailed);
  EXPECT_EQ(request_sense(), 0x031100u);
}

TEST_F(Dma, StoppingKeepsActiveUntilDataHasArrived) {
  plug_disc();
  auto* node = static_cast<DiscNode*>(graph.find_node("n"));
  node->hold = true;
  set_prds({{0x10000, 4096 | kEot}});
  read_sectors(0, 2);
  start_dma();
  run_until([&] { return node->reads == 1; });
  out(kBmdma, 0);
  EXPECT_EQ(dma_status() & BmdmaChannel::kActive, BmdmaChannel::kActive);
  node->release();
  run_until([&] { return (dma_status() & BmdmaChannel::kActive) == 0; });
  EXPECT_EQ(irqs.now[0], 0);
  EXPECT_EQ(in(0x3f6), kBsy);
  out(0x3f6, kSoftReset);
  out(0x3f6, 0);
  EXPECT_TRUE(packet({0x00}).good());
}

TEST_F(Dma, StartStopStartWithDataUnderWay) {
  IdeCd& cd = plug_disc();
  auto* node = static_cast<DiscNode*>(graph.find_node("n"));
  node->hold = true;
  set_prds({{0x10000, 4096 | kEot}});
  read_sectors(0, 2);
  start_dma();
  run_until([&] { return node->reads == 1; });
  for (int i = 0; i < 5; ++i) {
    out(kBmdma, 0);
    start_dma();
  }
  out(0x1f7, kDeviceReset);
  reset_devices(*machine);
  EXPECT_EQ(in(0x3f6), kBsy);
  node->release();
  run_until([&] { return cd.is_quiet(); });
  EXPECT_EQ(in(0x3f6), 0);
  ide->config_write(pci::kBar0 + 16, kBmdma, 4);
  ide->config_write(pci::kCommand, pci::kCommandIo | pci::kCommandMaster, 2);
  set_prds({{0x10000, 2048 | kEot}});
  read_sectors(9, 1);
  start_dma();
  wait_not_busy();
  expect_disc(0x10000, 9 * 2048, 2048);
}

TEST_F(Dma, WritesToMemoryAreSeenByMigration) {
  plug_disc();
  ram_block->set_tracking(DirtyClient::kMigration, true);
  for (uint64_t at = 0; at < kRamBytes; at += kPageSize)
    ram_block->test_and_clear(DirtyClient::kMigration, at);
  set_prds({{0x10000, 2048 | kEot}});
  ram_block->test_and_clear(DirtyClient::kMigration, 0x1000);
  read_sectors(0, 1);
  start_dma();
  wait_not_busy();
  EXPECT_TRUE(ram_block->test_and_clear(DirtyClient::kMigration, 0x10000));
  EXPECT_FALSE(ram_block->test_and_clear(DirtyClient::kMigration, 0x11000));
  ram_block->set_tracking(DirtyClient::kMigration, false);
}

TEST_F(Dma, BothChannelsHaveRegistersOfTheirOwn) {
  out(kBmdma + 8, 0x08);
  io_space().store(kBmdma + 12, 0x12345678, 4);
  EXPECT_EQ(in(kBmdma), 0);
  EXPECT_EQ(in(kBmdma + 8), 0x08);
  EXPECT_EQ(io_space().load(kBmdma + 12, 4), 0x12345678u);
}

}  // namespace
}  // namespace rhea
