#include "hw/floppy/floppy_format.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

using enum FloppyDriveType;

struct Case {
  const char* name;
  FloppyDriveType drive;
  unsigned kib, sectors, tracks, heads;
  FloppyRate rate;
};
class FloppyFormatOf : public testing::TestWithParam<Case> {};
TEST_P(FloppyFormatOf, DiskAndDrive) {
  const Case& c = GetParam();
  const FloppyFormat& f = floppy_format(c.drive, c.kib * 2);
  EXPECT_EQ(f.sectors, c.sectors);
  EXPECT_EQ(f.tracks, c.tracks);
  EXPECT_EQ(f.heads, c.heads);
  EXPECT_EQ(f.rate, c.rate);
}
INSTANTIATE_TEST_SUITE_P(Known, FloppyFormatOf,
                         testing::ValuesIn(std::to_array<Case>({
                             {"Hd35", k144, 1440, 18, 80, 2, FloppyRate::k500K},
                             {"Hd35InEd", k288, 1440, 18, 80, 2, FloppyRate::k500K},
                             {"Ed35", k288, 2880, 36, 80, 2, FloppyRate::k1M},
                             {"Dd35", k144, 720, 9, 80, 2, FloppyRate::k250K},
                             {"Dd525", k120, 720, 9, 80, 2, FloppyRate::k250K},
                             {"Hd525", k120, 1200, 15, 80, 2, FloppyRate::k500K},
                             {"Old525", k120, 360, 9, 40, 2, FloppyRate::k300K},
                             {"OneSide525", k120, 160, 8, 40, 1, FloppyRate::k250K},
                             {"OneSide35", k144, 360, 9, 80, 1, FloppyRate::k250K},
                             {"UnknownIsTheDrivesOwn", k144, 100, 18, 80, 2, FloppyRate::k500K},
                             {"WrongDiskIsTheDrivesOwn", k120, 2880, 15, 80, 2, FloppyRate::k500K},
                         })),
                         [](const auto& c) { return c.param.name; });

TEST(FloppyFormat, DiskChoosesDrive) {
  EXPECT_EQ(find_floppy_format(2880)->drive, k144);
  EXPECT_EQ(find_floppy_format(720)->drive, k120);
  EXPECT_EQ(find_floppy_format(200), nullptr);
  EXPECT_EQ(find_floppy_format(0), nullptr);
}

TEST(FloppyFormat, LimitsAreThoseOfTheDrivesFormats) {
  EXPECT_EQ(floppy_limits(k144).tracks, 83);
  EXPECT_EQ(floppy_limits(k144).sectors, 24);
  EXPECT_EQ(floppy_limits(k288).sectors, 48);
  EXPECT_EQ(floppy_limits(kNone).heads, 0);
}

TEST(FloppyFormat, CmosTypes) {
  EXPECT_EQ(floppy_cmos_type(k120), 2);
  EXPECT_EQ(floppy_cmos_type(k144), 4);
  EXPECT_EQ(floppy_cmos_type(k288), 5);
  EXPECT_EQ(floppy_cmos_type(kNone), 0);
}

}  // namespace
}  // namespace rhea
