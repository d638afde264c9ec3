// The hard disk's commands by PIO: addresses of all kinds, blocks, IDENTIFY, SMART, settings.
#include "tests/unit/ide/hd_rig.h"

namespace rhea {
namespace {

using namespace ata;
using Hd = HdRig;

TEST_F(Hd, ReadsWhatItWrote) {
  IdeHd& hd = plug_disk();
  command(kWriteSectors, {.lba = 5, .count = 2});
  EXPECT_EQ(irqs.now[0], 0) << "the first block is asked for silently";
  EXPECT_EQ(in(0x3f6), kReady | kDrq);
  write_data(1024, 0x21);
  expect_done();
  EXPECT_EQ(disk_node(hd).bytes[5 * 512], 0x21);
  command(kReadSectors, {.lba = 5, .count = 2});
  EXPECT_EQ(read_data(1024), std::vector<uint8_t>(1024, 0x21));
  EXPECT_EQ(in(0x3f6), kReady);
  EXPECT_EQ(in(0x1f3), 7) << "the address after the last sector";
  EXPECT_EQ(in(0x1f2), 0);
}

TEST_F(Hd, MovesBlocksOfTheSizeThatWasSet) {
  plug_disk();
  command(kSetMultiple, {.count = 4});
  expect_done();
  command(kReadMultiple, {.lba = 0, .count = 6});
  EXPECT_EQ(in(0x1f2), 2) << "six sectors less a block of four";
  read_data(2048);
  read_data(1024);
  EXPECT_EQ(in(0x3f6), kReady);
  for (const uint8_t bad : {3, 32}) {
    command(kSetMultiple, {.count = bad});
    expect_abort();
  }
  command(kSetMultiple, {.count = 0});
  expect_done();
  command(kReadMultiple, {.lba = 0, .count = 1});
  expect_abort();
}

TEST_F(Hd, AddressesByCylinderHeadAndSector) {
  IdeHd& hd = plug_disk();
  disk_node(hd).bytes[(16 * 63 + 63 + 2) * 512] = 0x77;  // cylinder 1, head 1, sector 3
  command(kReadSectors, {.lba = 3, .mid = 1, .count = 1, .device = 0xa1});
  EXPECT_EQ(read_data(512)[0], 0x77);
  command(kReadSectors, {.lba = 0, .count = 1, .device = 0xa0});
  expect_abort();  // sectors count from 1
  command(kInitializeParameters, {.count = 32, .device = 0xa7});
  expect_done();
  disk_node(hd).bytes[(8 * 32 + 32) * 512] = 0x78;
  command(kReadSectors, {.lba = 1, .mid = 1, .count = 1, .device = 0xa1});
  EXPECT_EQ(read_data(512)[0], 0x78);
}

TEST_F(Hd, Takes48BitAddresses) {
  IdeHd& hd = plug_disk(uint64_t{40} << 20);
  disk_node(hd).bytes[(uint64_t{70000}) * 512] = 0x55;
  out(0x1f2, 0), out(0x1f2, 1);
  out(0x1f3, 0), out(0x1f3, static_cast<uint8_t>(70000));
  out(0x1f4, 0), out(0x1f4, static_cast<uint8_t>(70000 >> 8));
  out(0x1f5, 0), out(0x1f5, 70000 >> 16);
  out(0x1f6, 0x40);
  out(0x1f7, kReadSectorsExt);
  wait_not_busy();
  EXPECT_EQ(read_data(512)[0], 0x55);
  EXPECT_EQ(in(0x1f3), static_cast<uint8_t>(70001));
}

TEST_F(Hd, RefusesSectorsPastTheEnd) {
  plug_disk(1 << 20);
  for (const uint8_t opcode : {kReadSectors, kWriteSectors, kReadDma, kWriteDma, kVerify, kSeek}) {
    command(opcode, {.lba = 0, .mid = 8, .count = 1});  // the 2048th
    expect_abort();
  }
}

TEST_F(Hd, RefusesWhatItDoesNotKnow) {
  plug_disk();
  for (const uint8_t opcode : {kNop, kDeviceReset, kPacket, kIdentifyPacket, uint8_t{0xff}}) {
    command(opcode, {});
    expect_abort();
  }
}

TEST_F(Hd, IdentifiesItself) {
  Json properties;
  properties.set("serial", "testdisk");
  properties.set("ver", "version");
  properties.set("model", "a disk");
  properties.set("wwn", uint64_t{0x5000123456789abc});
  properties.set("physical_block_size", 4096);
  properties.set("rotation_rate", 1);
  plug_disk(64 << 20, std::move(properties));
  const std::vector<uint16_t> w = identify();
  EXPECT_EQ(w[0], 0x0040);
  EXPECT_EQ(w[1], 130);
  EXPECT_EQ(w[3], 16);
  EXPECT_EQ(w[6], 63);
  EXPECT_EQ(text(w, 10, 20), "testdisk            ");
  EXPECT_EQ(text(w, 23, 8), "version ");
  EXPECT_EQ(text(w, 27, 10), "a disk    ");
  EXPECT_EQ(w[47], 0x8010);
  EXPECT_EQ(w[59], 0x0110);
  EXPECT_EQ(w[60] | uint32_t{w[61]} << 16, 131072u);
  EXPECT_EQ(w[69], 0x4000);
  EXPECT_EQ(w[83], 0x7400);
  EXPECT_EQ(w[85], 0x4021);
  EXPECT_EQ(w[88], 0x203f);
  EXPECT_EQ(w[101], 2);
  EXPECT_EQ(w[106], 0x6003);
  EXPECT_EQ(w[108], 0x5000);
  EXPECT_EQ(w[111], 0x9abc);
  EXPECT_EQ(w[169], 1);
  EXPECT_EQ(w[217], 1);
}

TEST_F(Hd, SetFeaturesShowsInIdentify) {
  IdeHd& hd = plug_disk();
  command(kSetFeatures, {.feature = 0x82});
  expect_done();
  EXPECT_EQ(identify()[85], 0x4001);
  EXPECT_FALSE(hd.block_backend()->write_cache_enabled());
  EXPECT_EQ(disk_node(hd).flushes, 1);
  command(kSetFeatures, {.feature = 0x02});
  expect_done();
  EXPECT_EQ(identify()[85], 0x4021);
  command(kSetFeatures, {.count = 0x22, .feature = 0x03});
  expect_done();
  EXPECT_EQ(identify()[63], 0x0407);
  command(kSetFeatures, {.count = 0x12, .feature = 0x03});
  expect_done();
  EXPECT_EQ(identify()[62], 0x0407);
  command(kSetFeatures, {.count = 0x80, .feature = 0x03});
  expect_abort();
  command(kSetFeatures, {.feature = 0xdd});
  expect_abort();
}

TEST_F(Hd, HidesSectorsBehindTheMaximum) {
  plug_disk(1 << 20);
  command(kSetMax, {.lba = 100});
  expect_abort();  // not right after READ NATIVE MAX ADDRESS
  command(kReadNativeMax, {});
  expect_done();
  EXPECT_EQ(in(0x1f3) | in(0x1f4) << 8, 2047);
  command(kSetMax, {.lba = 99});
  expect_done();
  EXPECT_EQ(identify()[60], 100);
  command(kReadSectors, {.lba = 100, .count = 1});
  expect_abort();
  reset_devices(*machine);
  EXPECT_EQ(identify()[60], 2048);
}

TEST_F(Hd, TellsItsHealth) {
  plug_disk();
  const Registers smart{.mid = 0x4f, .high = 0xc2};
  auto with = [&](uint8_t feature, uint8_t low = 0, uint8_t count = 1) {
    Registers r = smart;
    r.feature = feature, r.lba = low, r.count = count;
    return r;
  };
  auto sum = [](const std::vector<uint8_t>& d) {
    uint8_t s = 0;
    for (const uint8_t b : d) s = static_cast<uint8_t>(s + b);
    return s;
  };
  for (const uint8_t feature : {0xd0, 0xd1}) {
    command(kSmart, with(feature));
    const std::vector<uint8_t> data = read_data(512);
    EXPECT_EQ(data[2], 1) << "the first attribute";
    EXPECT_EQ(sum(data), 0);
  }
  command(kSmart, with(0xd4, 2));
  expect_done();
  command(kSmart, with(0xd5, 6));
  const std::vector<uint8_t> log = read_data(512);
  EXPECT_EQ(log[2], 2) << "the extended self-test";
  EXPECT_EQ(log[508], 1);
  command(kSmart, with(0xda));
  expect_done();
  EXPECT_EQ(in(0x1f4), 0x4f) << "no threshold exceeded";
  command(kSmart, with(0xd9));
  expect_done();
  command(kSmart, with(0xda));
  expect_abort();
  command(kSmart, {.feature = 0xd8});
  expect_abort();  // without the signature
}

TEST_F(Hd, PowerModesAreLeftAtOnce) {
  plug_disk();
  for (const uint8_t opcode :
       {kStandbyImmediate, kIdleImmediate, kStandby, kIdle, kSleep, kStandbyImmediateOld}) {
    command(opcode, {});
    EXPECT_EQ(in(0x1f7), kDrdy);
  }
  command(kCheckPowerMode, {});
  EXPECT_EQ(in(0x1f2), 0xff);
}

TEST_F(Hd, ASoftwareResetAndTheDiagnosticShowTheSignature) {
  plug_disk();
  command(kSetMultiple, {.count = 2});
  for (const bool reset : {true, false}) {
    if (reset) out(0x3f6, kSoftReset), out(0x3f6, 0);
    if (!reset) out(0x1f7, kExecuteDiagnostic);
    EXPECT_EQ(in(0x3f6), kReady);
    EXPECT_EQ(in(0x1f1), 1);
    EXPECT_EQ(in(0x1f2), 1);
    EXPECT_EQ(in(0x1f3), 1);
    EXPECT_EQ(in(0x1f4) | in(0x1f5), 0);
    EXPECT_EQ(in(0x1f6), 0xa0);
  }
}

TEST_F(Hd, PropertiesAreCheckedAsUsersKnowIt) {
  auto message = [&](const char* key, Json value) {
    Json properties;
    properties.set(key, std::move(value));
    auto r = try_plug_disk(0, 1 << 20, std::move(properties));
    return r ? std::string("plugged") : r.error().message();
  };
  EXPECT_EQ(message("drive", ""), "No drive specified");
  EXPECT_EQ(message("drive", "x"), "Property 'ide-hd.drive' can't find value 'x'");
  EXPECT_EQ(message("cyls", 1), "heads must be between 1 and 16");
  EXPECT_EQ(message("bios-chs-trans", "foo"), "Parameter 'bios-chs-trans' does not accept value 'foo'");
  disc("ro", 1 << 20);
  EXPECT_EQ(message("drive", "ro"), "Block node is read-only");
}

}  // namespace
}  // namespace rhea
