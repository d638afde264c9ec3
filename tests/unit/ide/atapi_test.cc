// The command set of C.6, command by command, against MMC-5's formats.
#include "hw/scsi/atapi.h"

#include <gtest/gtest.h>

#include "util/byteorder.h"
#include "util/str.h"

namespace rhea {
namespace {

using Kind = AtapiReply::Kind;
using Bytes = std::vector<uint8_t>;

constexpr CdMedium kCd{.present = true, .sectors = 0x1400};
constexpr CdMedium kDvd{.present = true, .sectors = 0x100000};
constexpr CdMedium kEmpty{};

class Atapi : public testing::Test {
 protected:
  Atapi() { unit.identity.serial = "QM00003"; }
  AtapiReply run(std::initializer_list<uint8_t> bytes, const CdMedium& medium = kCd) {
    Cdb cdb{};
    std::copy(bytes.begin(), bytes.end(), cdb.begin());
    return unit.execute(cdb, medium);
  }
  Bytes data(std::initializer_list<uint8_t> bytes, const CdMedium& medium = kCd) {
    const AtapiReply r = run(bytes, medium);
    EXPECT_EQ(r.kind, Kind::kData) << sense_text();
    return r.data;
  }
  std::string sense_text() const {
    return str_cat(static_cast<int>(unit.sense.key), "/", hex(unit.sense.asc, 2), "/",
                   hex(unit.sense.ascq, 2));
  }
  /// The sense of a command that fails; "good" if it does not.
  std::string failure(std::initializer_list<uint8_t> bytes, const CdMedium& medium = kCd) {
    return run(bytes, medium).kind == Kind::kCheck ? sense_text() : "good";
  }
  AtapiUnit unit;
};

TEST_F(Atapi, CommandsThatNeedAMediumSayThereIsNone) {
  for (uint8_t op : {0x00, 0x25, 0x28, 0x2b, 0x43, 0x51, 0xa8, 0xad, 0xbe})
    EXPECT_EQ(failure({op}, kEmpty), "2/3a/00") << hex(op);
  unit.tray.host_unload();
  for (uint8_t op : {0x00, 0x25, 0x28, 0x2b, 0x43, 0x51, 0xa8, 0xad, 0xbe})
    EXPECT_EQ(failure({op}, kCd), "2/3a/00") << hex(op);
}

TEST_F(Atapi, OthersWorkWithoutAMedium) {
  for (uint8_t op : {0x12, 0x1b, 0x1e, 0x46, 0xbb, 0xbd, 0x03})
    EXPECT_EQ(failure({op}, kEmpty), "good") << hex(op);
}

TEST_F(Atapi, UnknownCommandsAreRefused) {
  for (uint8_t op : {0x01, 0x04, 0x15, 0x1a, 0x2a, 0x55, 0xaa, 0xff})
    EXPECT_EQ(failure({op}), "5/20/00") << hex(op);
}

TEST_F(Atapi, C6_AllButFourReportAPendingAttentionFirst) {
  for (int op = 0; op < 256; ++op) {
    const bool allowed = op == 0x03 || op == 0x12 || op == 0x46 || op == 0x4a;
    unit.sense = {SenseKey::kUnitAttention, asc::kMediumChanged};
    const bool reported =
        run({static_cast<uint8_t>(op), 1}).kind == Kind::kCheck && sense_text() == "6/28/00";
    EXPECT_EQ(reported, !allowed) << hex(static_cast<unsigned>(op));
  }
}

TEST_F(Atapi, S0_21_AfterAChangeFirstNoMediumThenAttentionUntilFetched) {
  unit.tray.host_unload();
  unit.tray.host_load();
  EXPECT_EQ(failure({0x00}), "2/3a/00");
  EXPECT_EQ(failure({0x00}), "6/28/00");
  EXPECT_EQ(failure({0x25}), "6/28/00") << "until REQUEST SENSE";
  EXPECT_EQ(data({0x03, 0, 0, 0, 18})[2], 6);
  EXPECT_EQ(failure({0x00}), "good");
}

TEST_F(Atapi, RequestSenseReportsOnceAndGoodCommandsForget) {
  EXPECT_EQ(failure({0x28, 0, 0xff, 0, 0, 0, 0, 0, 1}), "5/21/00");
  const Bytes first = data({0x03, 0, 0, 0, 252});
  EXPECT_EQ(first, (Bytes{0xf0, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0}));
  EXPECT_EQ(data({0x03, 0, 0, 0, 18})[2], 0);
  EXPECT_EQ(run({0x03, 0, 0, 0, 0}).kind, Kind::kGood) << "nothing asked for";
  EXPECT_EQ(failure({0xff}), "5/20/00");
  EXPECT_EQ(unit.sense.error_register(), 0x50);
  EXPECT_EQ(failure({0x00}), "good");
  EXPECT_EQ(data({0x03, 0, 0, 0, 18})[2], 0);
}

TEST_F(Atapi, InquiryTellsTheDrive) {
  const Bytes d = data({0x12, 0, 0, 0, 36});
  EXPECT_EQ(std::string(d.begin() + 8, d.end()), "QEMU    QEMU DVD-ROM    2.5+");
  EXPECT_EQ((Bytes(d.begin(), d.begin() + 8)), (Bytes{0x05, 0x80, 0, 0x21, 31, 0, 0, 0}));
  EXPECT_EQ(data({0x12, 0, 0, 0, 5}).size(), 5u);
  EXPECT_EQ(data({0x12, 0, 0, 1, 0}).size(), 36u) << "allocation of 256 bytes";
  EXPECT_EQ(failure({0x12, 0, 1, 0, 36}), "5/24/00") << "page without EVPD";
}

TEST_F(Atapi, InquiryPages) {
  EXPECT_EQ(data({0x12, 1, 0, 0, 255}), (Bytes{5, 0, 0, 3, 0x00, 0x80, 0x83}));
  const Bytes serial = data({0x12, 1, 0x80, 0, 255});
  EXPECT_EQ(std::string(serial.begin() + 4, serial.begin() + 11), "QM00003");
  EXPECT_EQ(data({0x12, 1, 0x83, 0, 255}).size(), 4u + 4 + 20 + 4 + 68);
  unit.identity.wwn = 0x5000c50015ea71ac;
  const Bytes ids = data({0x12, 1, 0x83, 0, 255});
  EXPECT_EQ(ids.size(), 4u + 4 + 20 + 4 + 68 + 12);
  EXPECT_EQ(load_be<uint64_t>(&ids[ids.size() - 8]), 0x5000c50015ea71acu);
  EXPECT_EQ(ids[3], ids.size() - 4);
  EXPECT_EQ(failure({0x12, 1, 0x55, 0, 255}), "5/24/00");
}

TEST_F(Atapi, ReadCapacityTellsTheLastSector) {
  EXPECT_EQ(data({0x25}), (Bytes{0, 0, 0x13, 0xff, 0, 0, 8, 0}));
}

TEST_F(Atapi, ReadsStayInsideTheMedium) {
  struct {
    std::initializer_list<uint8_t> cdb;
    const char* want;
  } cases[] = {
      {{0x28, 0, 0, 0, 0x13, 0xff, 0, 0, 1}, "good"},
      {{0x28, 0, 0, 0, 0x13, 0xff, 0, 0, 2}, "5/21/00"},
      {{0x28, 0, 0, 0, 0x14, 0x00, 0, 0, 1}, "5/21/00"},
      {{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}, "5/21/00"},
      {{0xa8, 0, 0, 0, 0, 0, 0, 0, 0x14, 0x00}, "good"},
      {{0xa8, 0, 0, 0, 0, 1, 0, 0, 0x14, 0x00}, "5/21/00"},
      {{0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}, "5/21/00"},
      {{0xbe, 0, 0, 0, 0x13, 0xff, 0, 0, 1, 0x10}, "good"},
      {{0xbe, 0, 0, 0, 0x13, 0xff, 0xff, 0xff, 0xff, 0xf8}, "5/21/00"},
      {{0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x50}, "5/24/00"},
      {{0x2b, 0, 0, 0, 0x13, 0xff}, "good"},
      {{0x2b, 0, 0, 0, 0x14, 0x00}, "5/21/00"},
  };
  for (const auto& c : cases) EXPECT_EQ(failure(c.cdb), c.want) << hex(*c.cdb.begin());
}

TEST_F(Atapi, ReadsBecomePlans) {
  const AtapiReply r = run({0x28, 0, 0, 0, 1, 2, 0, 0, 3});
  EXPECT_EQ(r.kind, Kind::kRead);
  EXPECT_EQ(r.read.lba, 0x102u);
  EXPECT_EQ(r.read.sectors, 3u);
  EXPECT_EQ(r.read.bytes(), 3u * 2048);
  EXPECT_EQ(run({0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0xf8}).read.bytes(), 2u * 2352);
  for (auto nothing :
       {Cdb{0x28}, Cdb{0xa8}, Cdb{0xbe, 0, 0, 0, 0, 0, 0, 0, 1}, Cdb{0xbe, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}})
    EXPECT_EQ(unit.execute(nothing, kCd).kind, Kind::kGood);
}

TEST_F(Atapi, TocFormats) {
  EXPECT_EQ(data({0x43, 0, 0, 0, 0, 0, 0, 0, 255}),
            (Bytes{0, 0x12, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa, 0, 0, 0, 0x14, 0}));
  EXPECT_EQ(data({0x43, 2, 0, 0, 0, 0, 1, 0, 255}),
            (Bytes{0, 0x12, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x16, 0xaa, 0, 0, 1, 10, 20}));
  EXPECT_EQ(data({0x43, 0, 0, 0, 0, 0, 0xaa, 0, 255}), (Bytes{0, 10, 1, 1, 0, 0x16, 0xaa, 0, 0, 0, 0x14, 0}));
  EXPECT_EQ(data({0x43, 0, 1, 0, 0, 0, 0, 0, 255}), (Bytes{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(data({0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40}), data({0x43, 0, 1, 0, 0, 0, 0, 0, 255}));
  const Bytes full = data({0x43, 2, 2, 0, 0, 0, 0, 0, 255});
  ASSERT_EQ(full.size(), 48u);
  EXPECT_EQ((Bytes(full.begin() + 26, full.begin() + 37)), (Bytes{1, 0x14, 0, 0xa2, 0, 0, 0, 0, 1, 10, 20}));
  EXPECT_EQ(data({0x43, 0, 0, 0, 0, 0, 0, 0, 4}), (Bytes{0, 0x12, 1, 1}));
  EXPECT_EQ(failure({0x43, 0, 0, 0, 0, 0, 2, 0, 255}), "5/24/00") << "there is one track";
  EXPECT_EQ(failure({0x43, 0, 5, 0, 0, 0, 0, 0, 255}), "5/24/00");
}

TEST_F(Atapi, ConfigurationNamesTheProfile) {
  EXPECT_EQ(load_be<uint16_t>(&data({0x46, 0, 0, 0, 0, 0, 0, 1, 0})[6]), 0x08);
  EXPECT_EQ(load_be<uint16_t>(&data({0x46, 0, 0, 0, 0, 0, 0, 1, 0}, kDvd)[6]), 0x10);
  const Bytes empty = data({0x46, 0, 0, 0, 0, 0, 0, 1, 0}, kEmpty);
  EXPECT_EQ(load_be<uint16_t>(&empty[6]), 0);
  EXPECT_EQ(load_be<uint32_t>(empty.data()), empty.size() - 4);
  EXPECT_EQ((Bytes(empty.begin() + 8, empty.begin() + 20)), (Bytes{0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 0, 0}));
  EXPECT_EQ(data({0x46, 2, 0x12, 0x34, 0, 0, 0, 1, 0}).size(), 8u) << "a feature nobody has";
  EXPECT_EQ(data({0x46, 2, 0, 3, 0, 0, 0, 1, 0}).size(), 16u);
  EXPECT_EQ(failure({0x46, 3, 0, 0, 0, 0, 0, 1, 0}), "5/24/00");
}

TEST_F(Atapi, EventStatus) {
  EXPECT_EQ(failure({0x4a, 0, 0, 0, 0x10, 0, 0, 0, 255}), "5/24/00");
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0, 0, 0, 0, 255}), (Bytes{0, 2, 0x80, 0x12}));
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x02, 0, 0, 0, 255}), (Bytes{0, 6, 1, 0x12, 0, 0, 0, 0}));
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x12, 0, 0, 0, 255}), (Bytes{0, 6, 4, 0x12, 0, 2, 0, 0}));
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 255}, kEmpty), (Bytes{0, 6, 4, 0x12, 0, 0, 0, 0}));
  unit.tray.host_unload();
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 255}), (Bytes{0, 6, 4, 0x12, 0, 1, 0, 0}));
  unit.tray.host_load();
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 4}).size(), 4u) << "too short to use the event up";
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8})[4], 2);
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8})[4], 0);
  unit.tray.host_eject_request(false);
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8})[4], 1);
}

TEST_F(Atapi, DiscInformation) {
  const Bytes d = data({0x51, 0, 0, 0, 0, 0, 0, 0, 255});
  EXPECT_EQ(d.size(), 34u);
  EXPECT_EQ((Bytes(d.begin(), d.begin() + 8)), (Bytes{0, 32, 0x0e, 1, 1, 1, 1, 0x20}));
  EXPECT_EQ(failure({0x51, 1, 0, 0, 0, 0, 0, 0, 255}), "5/24/00");
}

TEST_F(Atapi, ModePages) {
  EXPECT_EQ(data({0x5a, 0, 0x01, 0, 0, 0, 0, 0, 255}),
            (Bytes{0, 14, 1, 0, 0, 0, 0, 0, 0x01, 6, 0, 5, 0, 0, 0, 0}));
  EXPECT_EQ(data({0x5a, 0, 0x0d, 0, 0, 0, 0, 0, 255}).size(), 16u);
  EXPECT_EQ(data({0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 255}).size(), 24u);
  EXPECT_EQ(data({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255})[14], 0x29);
  unit.tray.guest_set_locked(true);
  EXPECT_EQ(data({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255})[14], 0x2b);
  EXPECT_EQ(data({0x5a, 0, 0x6a, 0, 0, 0, 0, 0, 255})[14], 0) << "nothing can be changed";
  EXPECT_EQ(data({0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0}).size(), 8u + 8 + 8 + 16 + 22);
  EXPECT_EQ(data({0x5a, 0, 0x01, 0, 0, 0, 0, 0, 255}, kEmpty)[2], 0x70);
  EXPECT_EQ(failure({0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 255}), "5/39/00");
  EXPECT_EQ(failure({0x5a, 0, 0x07, 0, 0, 0, 0, 0, 255}), "5/24/00");
}

TEST_F(Atapi, DvdStructure) {
  const Bytes d = data({0xad, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, kDvd);
  ASSERT_EQ(d.size(), 2052u);
  EXPECT_EQ(load_be<uint32_t>(&d[12]), 0x030000u + 0xfffff);
  EXPECT_EQ(data({0xad, 0, 0, 0, 0, 0, 0, 1, 0, 255}, kDvd), (Bytes{0, 6, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(data({0xad, 0, 0, 0, 0, 0, 0, 0xff, 0, 255}).size(), 20u) << "of the drive, whatever is in it";
  EXPECT_EQ(failure({0xad, 0, 0, 0, 0, 0, 0, 0, 0, 255}, kCd), "5/30/00");
  EXPECT_EQ(failure({0xad, 0, 0, 0, 0, 0, 1, 0, 0, 255}, kDvd), "5/24/00");
  EXPECT_EQ(failure({0xad, 1, 0, 0, 0, 0, 0, 0, 0, 255}, kDvd), "5/24/00");
  EXPECT_EQ(failure({0xad, 0, 0, 0, 0, 0, 0, 2, 0, 255}, kDvd), "5/24/00");
}

TEST_F(Atapi, MechanismStatus) {
  EXPECT_EQ(data({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}), (Bytes{0, 0, 0, 0, 0, 1, 0, 0}));
  unit.tray.restore({.open = true});
  EXPECT_EQ(data({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8})[1], 0x10);
}

TEST_F(Atapi, StartStopMovesTheTrayUnlessLocked) {
  EXPECT_EQ(failure({0x1e, 0, 0, 0, 1}), "good");
  EXPECT_EQ(failure({0x1b, 0, 0, 0, 2}), "2/53/02");
  EXPECT_EQ(failure({0x1b, 0, 0, 0, 0x32}), "good") << "a power condition, not an eject";
  EXPECT_FALSE(unit.tray.open());
  EXPECT_EQ(failure({0x1e, 0, 0, 0, 0}), "good");
  EXPECT_EQ(failure({0x1b, 0, 0, 0, 0}), "good") << "stop alone does not eject";
  EXPECT_FALSE(unit.tray.open());
  EXPECT_EQ(failure({0x1b, 0, 0, 0, 2}), "good");
  EXPECT_TRUE(unit.tray.open());
  EXPECT_EQ(failure({0x1b, 0, 0, 0, 3}), "good");
  EXPECT_FALSE(unit.tray.open());
  EXPECT_EQ(failure({0x00}), "6/28/00") << "who closes it may have changed the disc";
}

TEST_F(Atapi, EveryOpcodeWithEveryByteSetSurvives) {
  for (const CdMedium& medium : {kEmpty, kCd, kDvd})
    for (int op = 0; op < 256; ++op)
      for (int fill : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
        AtapiUnit u;
        Cdb cdb;
        cdb.fill(static_cast<uint8_t>(fill));
        cdb[0] = static_cast<uint8_t>(op);
        const AtapiReply r = u.execute(cdb, medium);
        EXPECT_EQ(r.kind == Kind::kData, !r.data.empty());
        if (r.kind == Kind::kRead) {
          EXPECT_LE(uint64_t{r.read.lba} + r.read.sectors, medium.sectors);
        }
        EXPECT_EQ(r.kind == Kind::kCheck, u.sense.key != SenseKey::kNone);
      }
}

}  // namespace
}  // namespace rhea
