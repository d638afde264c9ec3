// The PACKET protocol by PIO, and a host that changes discs under a guest.
#include "tests/unit/ide/ide_rig.h"

namespace rhea {
namespace {

using namespace ata;

class Packet : public IdeRig {
 protected:
  IdeCd& plug_disc(uint64_t bytes = 1 << 20) {
    disc("n", bytes);
    return plug(0, R"({"drive": "n"})");
  }
  void expect_disc(const std::vector<uint8_t>& data, uint64_t offset) {
    for (size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], disc_byte(offset + i)) << i;
  }
  std::string event(const char* id, bool open) {
    return str_cat(R"(DEVICE_TRAY_MOVED {"device": "", "id": ")", id, R"(", "tray-open": )", open, "}");
  }
};

TEST_F(Packet, ReadsSectors) {
  plug_disc();
  const PacketResult r = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 2048);
  EXPECT_TRUE(r.good());
  EXPECT_EQ(r.reason, kCommandPhase | kToHost);
  EXPECT_EQ(r.blocks, (std::vector<unsigned>{2048, 2048}));
  ASSERT_EQ(r.data.size(), 4096u);
  expect_disc(r.data, 3 * 2048);
}

TEST_F(Packet, ByteCountLimits) {
  plug_disc();
  struct {
    unsigned limit;
    std::vector<unsigned> blocks;
  } cases[] = {
      {1500, {1500, 1500, 1096}}, {1501, {1500, 1500, 1096}}, {4096, {4096}},
      {0xffff, {4096}},           {0xfffe, {4096}},           {4097, {4096}},
      {2049, {2048, 2048}},
  };
  for (const auto& c : cases) {
    const PacketResult r = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, c.limit);
    EXPECT_EQ(r.blocks, c.blocks) << c.limit;
    ASSERT_EQ(r.data.size(), 4096u);
    expect_disc(r.data, 3 * 2048);
  }
  for (unsigned limit : {0u, 1u}) {
    const PacketResult r = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, limit);
    EXPECT_EQ(r.status, kFailed) << limit;
    EXPECT_EQ(r.error, kAbort);
  }
  EXPECT_TRUE(packet({0x00}, 0).good()) << "without data the limit means nothing";
  EXPECT_EQ(packet({0x12, 0, 0, 0, 5}, 5).data.size(), 5u) << "an odd last block";
}

TEST_F(Packet, LongReadsKeepBlocksWhole) {
  plug_disc();
  const PacketResult r = packet({0x28, 0, 0, 0, 0, 0, 0, 0, 200}, 0xfffe);
  EXPECT_TRUE(r.good());
  ASSERT_EQ(r.data.size(), 200u * 2048);
  EXPECT_EQ(r.blocks.front(), 0xfffeu);
  expect_disc(r.data, 0);
}

TEST_F(Packet, RawSectorsHaveHeadersAroundTheData) {
  plug_disc();
  const PacketResult r = packet({0xbe, 0, 0, 0, 0, 200, 0, 0, 40, 0xf8});
  ASSERT_EQ(r.data.size(), 40u * 2352);
  const uint8_t* second = &r.data[2352];
  EXPECT_EQ(second[0], 0);
  EXPECT_EQ(second[1], 0xff);
  EXPECT_EQ((std::vector<uint8_t>(second + 12, second + 16)), (std::vector<uint8_t>{0x00, 0x04, 0x51, 1}));
  expect_disc({second + 16, second + 16 + 2048}, 201 * 2048);
  EXPECT_EQ(second[2351], 0);
}

TEST_F(Packet, OverlapAndUnknownFeaturesAreAborted) {
  plug_disc();
  out(0x1f1, 2);
  out(0x1f7, kPacket);
  EXPECT_EQ(in(0x1f7), kFailed);
}

TEST_F(Packet, TheCommandPhaseAsksForThePacket) {
  plug_disc();
  out(0x1f1, 0);
  out(0x1f7, kPacket);
  EXPECT_EQ(in(0x3f6), kReady | kDrq);
  EXPECT_EQ(in(0x1f2), kCommandPhase);
  EXPECT_EQ(irqs.now[0], 0) << "no interrupt for the packet itself";
}

TEST_F(Packet, AFailedReadIsAMediumError) {
  IdeCd& cd = plug_disc();
  static_cast<DiscNode*>(graph.find_node("n"))->fail_next = EIO;
  const PacketResult r = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 2048);
  EXPECT_EQ(r.status, kFailed);
  EXPECT_EQ(r.error, 0x30);
  const std::vector<std::string> sent = events.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].starts_with(R"(BLOCK_IO_ERROR {"device": "", "node-name": "n", "operation": "read")"))
      << sent[0];
  EXPECT_EQ(request_sense(), 0x031100u);
  EXPECT_TRUE(packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 2048).good());
  EXPECT_TRUE(cd.is_quiet());
}

TEST_F(Packet, IgnoringReadErrorsGivesZeroes) {
  disc("n", 1 << 20).fail_next = EIO;
  plug(0, R"({"drive": "n", "rerror": "ignore"})");
  const PacketResult r = packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 2048);
  EXPECT_TRUE(r.good());
  EXPECT_EQ(r.data, std::vector<uint8_t>(2048, 0));
}

TEST_F(Packet, AResetWaitsForTheRequestUnderWay) {
  IdeCd& cd = plug_disc();
  auto* node = static_cast<DiscNode*>(graph.find_node("n"));
  node->hold = true;
  send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 2048);
  EXPECT_EQ(in(0x3f6) & kBsy, kBsy);
  run_until([&] { return node->reads == 1; });
  out(0x3f6, kSoftReset);
  out(0x3f6, 0);
  EXPECT_EQ(in(0x3f6), kBsy) << "the drive is not done resetting";
  node->release();
  wait_not_busy();
  EXPECT_EQ(in(0x3f6), 0x00);
  EXPECT_EQ(in(0x1f4), 0x14);
  EXPECT_EQ(irqs.now[0], 0) << "the given-up command says nothing";
  EXPECT_TRUE(cd.is_quiet());
  EXPECT_TRUE(packet({0x00}).good());
}

TEST_F(Packet, ADriveIsTakenAwayWhileARequestIsUnderWay) {
  IdeCd& cd = plug_disc();
  auto* node = static_cast<DiscNode*>(graph.find_node("n"));
  node->hold = true;
  send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 2048);
  run_until([&] { return node->reads == 1; });
  bool stopped = false;
  co_start<void>(cd.co_stop(), [&](Result<>) { stopped = true; });
  EXPECT_FALSE(stopped);
  node->release();
  run_until([&] { return stopped; });
}

// --- the host changes discs

TEST_F(Packet, S0_1_ADriveWithoutDriveIsEmptyClosedAndUnlocked) {
  IdeCd& cd = plug(0, R"({"write-cache": "on"})");
  EXPECT_FALSE(cd.is_tray_open());
  EXPECT_FALSE(cd.is_medium_locked());
  EXPECT_FALSE(cd.eject_request_pending());
  BlockBackend& blk = *cd.block_backend();
  EXPECT_TRUE(blk.has_tray());
  EXPECT_TRUE(blk.has_removable_media());
  EXPECT_FALSE(blk.is_inserted());
  EXPECT_EQ(blk.device_id_or_path(), "ide0-0-0");
  EXPECT_TRUE(packet({0x00}).status & kErr);
  EXPECT_EQ(request_sense(), 0x023a00u);
}

TEST_F(Packet, AFreshDiscIsReadyAtOnce) {
  plug_disc();
  EXPECT_TRUE(packet({0x00}).good());
}

TEST_F(Packet, S0_3_S0_9_S0_21_InsertingTellsTheGuestInTwoSteps) {
  IdeCd& cd = plug();
  BlockBackend& blk = *cd.block_backend();
  EXPECT_TRUE(blk.change_media_cb(false));
  EXPECT_EQ(events.take(), std::vector<std::string>{event("ide0-0-0", true)});
  insert(cd, disc("n2", 1 << 20));
  EXPECT_FALSE(packet({0x00}).good());
  EXPECT_EQ(request_sense(), 0x023a00u) << "the tray is open";
  EXPECT_TRUE(blk.change_media_cb(true));
  EXPECT_EQ(events.take(), std::vector<std::string>{event("ide0-0-0", false)});
  EXPECT_FALSE(packet({0x00}).good());
  EXPECT_EQ(request_sense(), 0x023a00u);
  EXPECT_FALSE(packet({0x00}).good());
  EXPECT_EQ(request_sense(), 0x062800u);
  EXPECT_TRUE(packet({0x00}).good());
  EXPECT_EQ(packet({0x28, 0, 0, 0, 0, 1, 0, 0, 1}).data.size(), 2048u);
}

TEST_F(Packet, S0_4_RemovingLeavesAnEmptyClosedDrive) {
  IdeCd& cd = plug_disc();
  BlockBackend& blk = *cd.block_backend();
  EXPECT_TRUE(blk.change_media_cb(false));
  remove(cd);
  EXPECT_TRUE(blk.change_media_cb(true));
  EXPECT_FALSE(cd.is_tray_open());
  EXPECT_FALSE(packet({0x25}).good());
  EXPECT_EQ(request_sense(), 0x023a00u);
}

TEST_F(Packet, S0_7_ALockedTrayOnlyAsksTheGuest) {
  IdeCd& cd = plug_disc();
  BlockBackend& blk = *cd.block_backend();
  EXPECT_TRUE(packet({0x1e, 0, 0, 0, 1}).good());
  EXPECT_TRUE(cd.is_medium_locked());
  blk.eject_request(false);
  EXPECT_FALSE(cd.is_tray_open());
  EXPECT_TRUE(cd.is_medium_locked());
  EXPECT_TRUE(cd.eject_request_pending());
  EXPECT_TRUE(events.take().empty());
  const PacketResult r = packet({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8});
  ASSERT_EQ(r.data.size(), 8u);
  EXPECT_EQ(r.data[4], 1) << "the guest is told";
  EXPECT_TRUE(packet({0x1e, 0, 0, 0, 0}).good());
  EXPECT_TRUE(packet({0x1b, 0, 0, 0, 2}).good());
  EXPECT_TRUE(cd.is_tray_open());
  EXPECT_FALSE(cd.eject_request_pending());
}

TEST_F(Packet, S0_7_ForceUnlocks) {
  IdeCd& cd = plug_disc();
  EXPECT_TRUE(packet({0x1e, 0, 0, 0, 1}).good());
  cd.block_backend()->eject_request(true);
  EXPECT_FALSE(cd.is_medium_locked());
  EXPECT_TRUE(cd.block_backend()->change_media_cb(false));
  EXPECT_TRUE(cd.is_tray_open());
}

TEST_F(Packet, S0_9_TheGuestMovesTheTrayToo) {
  IdeCd& cd = plug_disc();
  EXPECT_TRUE(packet({0x1b, 0, 0, 0, 2}).good());
  EXPECT_EQ(events.take(), std::vector<std::string>{event("ide0-0-0", true)});
  EXPECT_TRUE(packet({0x1b, 0, 0, 0, 2}).good());
  EXPECT_TRUE(events.take().empty()) << "it is open already";
  EXPECT_TRUE(cd.block_backend()->is_inserted()) << "the medium lies on the tray";
  EXPECT_TRUE(packet({0x1b, 0, 0, 0, 3}).good());
  EXPECT_EQ(events.take(), std::vector<std::string>{event("ide0-0-0", false)});
}

TEST_F(Packet, S0_9_AnAnonymousDriveIsNamedByItsPath) {
  disc("n", 1 << 20);
  IdeCd& cd = plug(0, R"({"drive": "n"})", "");
  EXPECT_TRUE(cd.block_backend()->change_media_cb(false));
  EXPECT_EQ(events.take(), std::vector<std::string>{event(cd.path().c_str(), true)});
}

TEST_F(Packet, S0_10_AFailedLoadOfNothingChangesNothing) {
  IdeCd& cd = plug();
  EXPECT_TRUE(cd.block_backend()->change_media_cb(true));
  EXPECT_TRUE(events.take().empty()) << "closed stays closed";
}

TEST_F(Packet, AMachineResetKeepsTheTrayAndFreesTheLock) {
  IdeCd& cd = plug_disc();
  packet({0x1b, 0, 0, 0, 2});
  packet({0x1e, 0, 0, 0, 1});
  events.take();
  reset_devices(*machine);
  EXPECT_TRUE(cd.is_tray_open());
  EXPECT_FALSE(cd.is_medium_locked());
  EXPECT_TRUE(events.take().empty());
}

TEST_F(Packet, AnEmptyImageIsNoMedium) {
  plug_disc(0);
  EXPECT_FALSE(packet({0x25}).good());
  EXPECT_EQ(request_sense(), 0x023a00u);
}

}  // namespace
}  // namespace rhea
