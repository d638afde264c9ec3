// Failed requests: what rerror and werror make of them, the machine that stops and goes on, and the stream
// between.
#include "tests/unit/ide/hd_rig.h"

namespace rhea {
namespace {

using namespace ata;

class HdError : public HdRig {
 protected:
  HdError() {
    graph.stop_machine = [this] { ++stops; };
  }
  IdeHd& plug_policy(const char* rerror, const char* werror) {
    Json properties;
    properties.set("rerror", rerror);
    properties.set("werror", werror);
    return plug_disk(1 << 20, std::move(properties));
  }
  std::string event() {
    const std::vector<std::string> sent = events.take();
    return sent.size() == 1 ? sent[0] : str_cat(sent.size(), " events");
  }
  int stops = 0;
};

TEST_F(HdError, ReportedToTheGuest) {
  IdeHd& hd = plug_policy("report", "report");
  disk_node(hd).fail_next = EIO;
  command(kReadSectors, {.count = 1});
  expect_abort();
  EXPECT_TRUE(event().starts_with(
      R"(BLOCK_IO_ERROR {"device": "", "node-name": "disk0", "operation": "read", "action": "report")"));
  EXPECT_EQ(stops, 0);
}

TEST_F(HdError, IgnoredReadsAreZeroes) {
  IdeHd& hd = plug_policy("ignore", "ignore");
  disk_node(hd).bytes[0] = 1;
  disk_node(hd).fail_next = EIO;
  command(kReadSectors, {.count = 1});
  EXPECT_EQ(read_data(512), std::vector<uint8_t>(512, 0));
  disk_node(hd).fail_next = EIO;
  command(kWriteSectors, {.count = 1});
  write_data(512, 1);
  expect_done();
}

TEST_F(HdError, AWriteWithoutSpaceStopsAndIsTriedAgain) {
  IdeHd& hd = plug_policy("auto", "enospc");
  command(kWriteSectors, {.lba = 9, .count = 1});
  disk_node(hd).fail_next = ENOSPC;
  for (size_t i = 0; i < 512; i += 2) io_space().store(0x1f0, 0x4242, 2);
  run_until([&] { return hd.is_waiting() && hd.is_quiet(); });
  EXPECT_EQ(in(0x3f6), kBsy | kDrdy);
  EXPECT_EQ(stops, 1);
  const std::string sent = event();
  EXPECT_NE(sent.find(R"("action": "stop", "nospace": true)"), std::string::npos) << sent;
  EXPECT_EQ(hd.block_backend()->iostatus(), BlockIoStatus::kNospace);
  hd.machine_resumed();
  wait_not_busy();
  expect_done();
  EXPECT_EQ(disk_node(hd).bytes[9 * 512 + 511], 0x42);
}

TEST_F(HdError, EachKindOfRequestIsTriedAgain) {
  IdeHd& hd = plug_policy("stop", "stop");
  struct Case {
    uint8_t opcode;
    bool dma;
  };
  for (const Case& c :
       {Case{kReadDma, true}, Case{kWriteDma, true}, Case{kReadSectors, false}, Case{kVerify, false}}) {
    set_prds({{0x10000, 512 | kEot}});
    disk_node(hd).fail_next = EIO;
    send(c.opcode, {.lba = 4, .count = 1});
    if (c.dma) start_dma();
    run_until([&] { return hd.is_waiting() && hd.is_quiet(); });
    EXPECT_EQ(irqs.now[0], 0);
    hd.machine_resumed();
    run_until([&] { return irqs.now[0] == 1; });
    EXPECT_EQ(in(0x1f7) & (kErr | kBsy), 0);
    read_data(512);
    out(kBmdma, 0);
  }
  EXPECT_EQ(stops, 4);
}

TEST_F(HdError, AFailedFlushIsTriedAgain) {
  IdeHd& hd = plug_policy("stop", "stop");
  command(kWriteSectors, {.count = 1});
  write_data(512, 1);
  expect_done();
  disk_node(hd).fail_next = EIO;
  send(kFlushCache, {});
  run_until([&] { return hd.is_waiting() && hd.is_quiet(); });
  hd.machine_resumed();
  wait_not_busy();
  expect_done();
  EXPECT_EQ(disk_node(hd).flushes, 1);
}

TEST_F(HdError, AResetForgetsTheRequest) {
  IdeHd& hd = plug_policy("stop", "stop");
  disk_node(hd).fail_next = EIO;
  send(kReadSectors, {.count = 1});
  run_until([&] { return hd.is_waiting() && hd.is_quiet(); });
  out(0x3f6, kSoftReset);
  out(0x3f6, 0);
  EXPECT_FALSE(hd.is_waiting());
  hd.machine_resumed();
  EXPECT_EQ(in(0x3f6), kReady);
}

// The request travels with the machine (ide_bus/error), and is tried again where it goes on.
TEST_F(HdError, TheWaitingRequestTravels) {
  IdeHd& hd = plug_policy("stop", "stop");
  struct Case {
    uint8_t opcode;
    bool dma, write;
  };
  for (const Case& c :
       {Case{kReadDma, true, false}, Case{kWriteDma, true, true}, Case{kReadSectors, false, false},
        Case{kWriteSectors, false, true}, Case{kVerify, false, false}}) {
    SCOPED_TRACE(c.opcode);
    reset_devices(*machine);
    ide->config_write(pci::kBar0 + 16, kBmdma, 4);
    ide->config_write(pci::kCommand, pci::kCommandIo | pci::kCommandMaster, 2);
    std::ranges::fill(disk_node(hd).bytes, uint8_t{0x66});
    memory_space().store(0x10000, 0x5555, 2);
    set_prds({{0x10000, 512 | kEot}});
    disk_node(hd).fail_next = EIO;
    send(c.opcode, {.lba = 4, .count = 1});
    if (c.dma) out(kBmdma, c.write ? 1 : 9);
    if (c.write && !c.dma)
      for (size_t i = 0; i < 512; i += 2) io_space().store(0x1f0, 0x5555, 2);
    run_until([&] { return hd.is_waiting() && hd.is_quiet(); });
    const std::vector<uint8_t> saved = save(*ide);
    reset_devices(*machine);
    EXPECT_FALSE(hd.is_waiting());
    const Result<> loaded = load(*ide, saved);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(save(*ide), saved);
    EXPECT_TRUE(hd.is_waiting());
    hd.machine_resumed();
    run_until([&] { return irqs.now[0] == 1; });
    EXPECT_EQ(in(0x1f7) & (kErr | kBsy), 0);
    if (c.write) {
      EXPECT_EQ(disk_node(hd).bytes[4 * 512], 0x55);
    }
    if (c.dma && !c.write) {
      EXPECT_EQ(ram(0x10000), 0x66);
    }
    if (!c.dma && !c.write && c.opcode == kReadSectors) {
      EXPECT_EQ(read_data(512)[0], 0x66);
    }
  }
}

TEST_F(HdError, ATransferBetweenBlocksTravels) {
  IdeHd& hd = plug_disk();
  for (size_t i = 0; i < 3 * 512; ++i) disk_node(hd).bytes[i] = static_cast<uint8_t>(i / 512 + 1);
  command(kReadSectors, {.count = 3});
  read_data(512 + 10);
  const std::vector<uint8_t> saved = save(*ide);
  reset_devices(*machine);
  ASSERT_TRUE(load(*ide, saved));
  EXPECT_EQ(save(*ide), saved);
  const std::vector<uint8_t> rest = read_data(2 * 512 - 10);
  ASSERT_EQ(rest.size(), 2 * 512u - 10);
  EXPECT_EQ(rest[0], 2);
  EXPECT_EQ(rest.back(), 3);
  EXPECT_EQ(in(0x3f6), kReady);
}

TEST_F(HdError, SettingsTravel) {
  IdeHd& hd = plug_disk();
  command(kSetMultiple, {.count = 2});
  command(kSetFeatures, {.feature = 0x82});
  command(kSetFeatures, {.count = 0x21, .feature = 0x03});
  command(kInitializeParameters, {.count = 32, .device = 0xa7});
  command(kReadNativeMax, {});
  command(kSetMax, {.lba = 99});
  command(kSmart, {.mid = 0x4f, .high = 0xc2, .feature = 0xd9});
  const std::vector<uint16_t> before = identify();
  const std::vector<uint8_t> saved = save(*ide);
  reset_devices(*machine);
  hd.smart = SmartState();
  hd.set_write_cache(true);
  ASSERT_TRUE(load(*ide, saved));
  EXPECT_EQ(save(*ide), saved);
  EXPECT_EQ(identify(), before);
  EXPECT_FALSE(hd.smart.enabled);
}

TEST_F(HdError, ACdReadStopsAndIsTriedAgain) {
  for (const bool by_dma : {false, true}) {
    disc(by_dma ? "d1" : "d0", 1 << 20);
    Json unused;
    if (!by_dma) plug(0, R"({"drive": "d0", "rerror": "stop"})");
    auto& cd = static_cast<IdeCd&>(*drives[0]);
    auto& node = static_cast<DiscNode&>(*cd.block_backend()->node());
    set_prds({{0x10000, 2048 | kEot}});
    node.fail_next = EIO;
    send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 2048, by_dma ? 1 : 0);
    if (by_dma) start_dma();
    run_until([&] { return cd.is_waiting() && cd.is_quiet(); });
    const std::vector<uint8_t> saved = save(*ide);
    reset_devices(*machine);
    const Result<> loaded = load(*ide, saved);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(save(*ide), saved);
    cd.machine_resumed();
    run_until([&] { return irqs.now[0] == 1; });
    EXPECT_EQ(in(0x1f7) & kErr, 0);
    if (by_dma) {
      EXPECT_EQ(ram(0x10000), disc_byte(3 * 2048));
    }
    if (!by_dma) {
      EXPECT_EQ(static_cast<uint8_t>(io_space().load(0x1f0, 2)), disc_byte(3 * 2048));
    }
    for (int i = 0; i < 1023 && !by_dma; ++i) io_space().load(0x1f0, 2);
    in(0x1f7);
  }
}

}  // namespace
}  // namespace rhea
