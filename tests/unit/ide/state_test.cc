// Saved state: QEMU's layout, round trips in the middle of things, streams that lie.
#include <random>

#include "tests/unit/ide/ide_rig.h"

namespace rhea {
namespace {

using namespace ata;

constexpr size_t kPciBytes = 4 + 256 + 16, kBmdmaBytes = 19, kBusBytes = 2, kDriveBytes = 28;
constexpr size_t kFirstDrive = kPciBytes + 2 * kBmdmaBytes + 2 * kBusBytes;

class State : public IdeRig {
 protected:
  IdeCd& plug_disc() {
    disc("n", 1 << 20);
    return plug(0, R"({"drive": "n"})");
  }
  static bool contains(const std::vector<uint8_t>& bytes, std::string_view text) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(text) !=
           std::string_view::npos;
  }
  std::string load_error(const std::vector<uint8_t>& bytes) {
    const Result<> r = load(*ide, bytes);
    return r ? "(loaded)" : r.error().message();
  }
};

TEST_F(State, GoldenLayoutWithoutDrives) {
  const std::vector<uint8_t> bytes = save(*ide);
  EXPECT_EQ(std::string(ide->vmstate()->name), "ide");
  EXPECT_EQ(ide->vmstate()->version, 3);
  EXPECT_EQ(bytes.size(), kFirstDrive + 4 * kDriveBytes);
}

TEST_F(State, GoldenDriveFields) {
  IdeCd& cd = plug_disc();
  out(0x1f2, 0x12);
  out(0x1f3, 0x34);
  cd.atapi().sense = {SenseKey::kIllegalRequest, 0x24};
  const std::vector<uint8_t> bytes = save(*ide);
  const uint8_t* d = &bytes[kFirstDrive];
  EXPECT_EQ(load_be<uint32_t>(d), 0u) << "mult_sectors";
  EXPECT_EQ(load_be<uint32_t>(d + 4), 1u) << "identify_set";
  EXPECT_EQ(load_le<uint16_t>(d + 8), 0x85c0);
  const uint8_t* r = d + 8 + 512;
  EXPECT_EQ(load_be<uint32_t>(r + 2), 0x12u) << "nsector";
  EXPECT_EQ(r[6], 0x34) << "sector";
  EXPECT_EQ(r[7], 0x14) << "lcyl";
  EXPECT_EQ(r[8], 0xeb) << "hcyl";
  EXPECT_EQ(r[11], 0x01) << "hob_nsector";
  EXPECT_EQ(r[14], 0xa0) << "select";
  EXPECT_EQ(r[17], 5) << "sense_key";
  EXPECT_EQ(r[18], 0x24) << "asc";
  EXPECT_EQ(r[19], 0) << "cdrom_changed";
}

TEST_F(State, S0_11_TrayStateTravelsOnlyIfSet) {
  IdeCd& cd = plug_disc();
  std::vector<uint8_t> bytes = save(*ide);
  EXPECT_FALSE(contains(bytes, "ide_drive/tray_state"));
  cd.atapi().tray.guest_set_locked(true);
  cd.block_backend()->eject_request(false);
  bytes = save(*ide);
  EXPECT_TRUE(contains(bytes, "\x05\x14ide_drive/tray_state"));
  EXPECT_TRUE(contains(bytes, "ide_drive/atapi/gesn_state"));
  cd.atapi().tray.restore({});
  events.take();
  EXPECT_EQ(load_error(bytes), "(loaded)");
  EXPECT_TRUE(cd.is_medium_locked());
  EXPECT_FALSE(cd.is_tray_open());
  EXPECT_TRUE(cd.eject_request_pending());
  EXPECT_TRUE(events.take().empty()) << "loading moves nothing";
}

TEST_F(State, TraysAndChangesComeBack) {
  IdeCd& cd = plug_disc();
  for (int bits = 0; bits < 16; ++bits) {
    for (int change = 0; change < 3; ++change) {
      const TrayState want{.open = (bits & 1) != 0,
                           .locked = (bits & 2) != 0,
                           .eject_pending = (bits & 4) != 0,
                           .eject_event = (bits & 4) != 0,
                           .new_medium_event = (bits & 8) != 0,
                           .change = static_cast<MediumChange>(change)};
      cd.atapi().tray.restore(want);
      const std::vector<uint8_t> bytes = save(*ide);
      cd.atapi().tray.restore({});
      EXPECT_EQ(load_error(bytes), "(loaded)");
      EXPECT_EQ(cd.atapi().tray.state(), want);
      EXPECT_EQ(save(*ide), bytes);
    }
  }
}

TEST_F(State, GoesOnInTheMiddleOfARead) {
  plug_disc();
  send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 100}, 3000);
  wait_not_busy();
  std::vector<uint8_t> got;
  auto read_word = [&] {
    const auto w = static_cast<uint16_t>(io_space().load(0x1f0, 2));
    got.push_back(static_cast<uint8_t>(w));
    got.push_back(static_cast<uint8_t>(w >> 8));
  };
  for (int i = 0; i < 700; ++i) read_word();
  const std::vector<uint8_t> bytes = save(*ide);
  EXPECT_TRUE(contains(bytes, "\x05\x13ide_drive/pio_state"));
  EXPECT_TRUE(contains(bytes, "ide_drive/atapi/packet_state"));
  reset_devices(*machine);
  ASSERT_EQ(load_error(bytes), "(loaded)");
  EXPECT_EQ(save(*ide), bytes);
  while (got.size() < 100 * 2048) {
    wait_not_busy();
    ASSERT_EQ(in(0x3f6), kReady | kDrq) << got.size();
    read_word();
  }
  EXPECT_EQ(in(0x1f7), kReady);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], disc_byte(3 * 2048 + i)) << i;
}

TEST_F(State, GoesOnInTheMiddleOfAPacket) {
  plug_disc();
  out(0x1f7, kPacket);
  io_space().store(0x1f0, 0x0012, 2);
  const std::vector<uint8_t> bytes = save(*ide);
  reset_devices(*machine);
  ASSERT_EQ(load_error(bytes), "(loaded)");
  io_space().store(0x1f0, 0, 2);
  io_space().store(0x1f0, 36, 2);
  for (int i = 0; i < 3; ++i) io_space().store(0x1f0, 0, 2);
  EXPECT_EQ(in(0x3f6), kReady | kDrq);
  EXPECT_EQ(in(0x1f2), kToHost);
}

TEST_F(State, GoesOnWaitingForTheBusMaster) {
  plug_disc();
  send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 0, 1);
  std::vector<uint8_t> bytes = save(*ide);
  reset_devices(*machine);
  ASSERT_EQ(load_error(bytes), "(loaded)");
  set_prds({{0x10000, 0x80000000 | 2048}});
  start_dma();
  wait_not_busy();
  for (size_t i = 0; i < 2048; ++i) ASSERT_EQ(ram(0x10000 + i), disc_byte(3 * 2048 + i));
  // The same for a reply.
  out(kBmdma, 0);
  send_packet({0x12, 0, 0, 0, 36}, 0, 1);
  bytes = save(*ide);
  reset_devices(*machine);
  ASSERT_EQ(load_error(bytes), "(loaded)");
  set_prds({{0x20000, 0x80000000 | 36}});
  start_dma();
  wait_not_busy();
  EXPECT_EQ(ram(0x20008), 'Q');
}

TEST_F(State, BusMasterStatusBitsTravelInTheirSubsection) {
  out(kBmdma + 2, 0x60);
  const std::vector<uint8_t> bytes = save(*ide);
  EXPECT_TRUE(contains(bytes, "ide bmdma/status"));
  out(kBmdma + 2, 0);
  EXPECT_EQ(load_error(bytes), "(loaded)");
  EXPECT_EQ(in(kBmdma + 2), 0x60);
}

TEST_F(State, LiesAreRefused) {
  plug_disc();
  const std::vector<uint8_t> good = save(*ide);
  struct {
    size_t at;
    uint8_t value;
    const char* want;
  } cases[] = {
      {kPciBytes + 2 * kBmdmaBytes + 1, 2, "unit 2 is selected"},
      {kFirstDrive + 8 + 512 + 15, 0x58, "without data to transfer"},
      {kFirstDrive + 8 + 512 + 17, 0xff, "sense key 255"},
      {kFirstDrive + 8 + 512 + 19, 3, "medium change 3"},
      {kFirstDrive + 8 + 512 + 2, 1, "sector count"},
      {kFirstDrive + 8 + 127, 0x07, "impossible transfer mode"},
  };
  for (const auto& c : cases) {
    std::vector<uint8_t> bytes = good;
    bytes[c.at] = c.value;
    EXPECT_NE(load_error(bytes).find(c.want), std::string::npos) << c.want << ": " << load_error(bytes);
  }
  EXPECT_EQ(load_error(good), "(loaded)");
}

TEST_F(State, StreamsCutAnywhereAreRefused) {
  plug_disc().atapi().tray.guest_set_locked(true);
  const std::vector<uint8_t> good = save(*ide);
  for (size_t n = 0; n < good.size(); ++n) ASSERT_FALSE(load(*ide, std::span(good).first(n))) << n;
  EXPECT_TRUE(load(*ide, good));
}

TEST_F(State, AnyByteMayLie) {
  IdeCd& cd = plug_disc();
  send_packet({0x28, 0, 0, 0, 0, 3, 0, 0, 4}, 3000);
  wait_not_busy();
  const std::vector<uint8_t> good = save(*ide);
  std::mt19937 random(7);
  std::vector<size_t> places;
  for (size_t at = kPciBytes; at < kFirstDrive + 8; ++at) places.push_back(at);
  for (size_t at = kFirstDrive + 8 + 512; at < kFirstDrive + 8 + 512 + 60; ++at) places.push_back(at);
  for (size_t at = good.size() - 3 * kDriveBytes - 120; at < good.size(); ++at) places.push_back(at);
  for (size_t at : places) {
    for (int value : {0x00, 0x01, 0x7f, 0x80, 0xff, static_cast<int>(random() & 0xff)}) {
      std::vector<uint8_t> bytes = good;
      bytes[at] = static_cast<uint8_t>(value);
      std::ignore = load(*ide, bytes);  // loaded or refused: either is right, as long as nothing breaks
      for (int i = 0; i < 8; ++i) io_space().load(0x1f0, 4);
      for (uint16_t reg = 0x1f1; reg < 0x1f8; ++reg) in(reg);
      out(0x3f6, kSoftReset);
      out(0x3f6, 0);
      out(kBmdma, 0);
      run_until([&] { return cd.is_quiet(); });
    }
  }
  reset_devices(*machine);
  EXPECT_EQ(load_error(good), "(loaded)");
}

}  // namespace
}  // namespace rhea
