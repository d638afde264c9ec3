// What geometry a disk gets: by its size, its partition table, or the user.
#include <gtest/gtest.h>

#include "hw/block/hd_geometry.h"
#include "util/byteorder.h"

namespace rhea {
namespace {

using enum BiosAtaTranslation;

struct Partition {
  uint8_t end_head = 0, end_sector = 0;
  uint32_t sectors = 0;
};

struct Case {
  const char* name;
  uint64_t sectors;
  std::vector<Partition> partitions;
  HdGeometry geometry;
  BiosAtaTranslation translation;
};

class Geometry : public testing::TestWithParam<Case> {};

TEST_P(Geometry, IsThatOfItsHistory) {
  const Case& c = GetParam();
  std::array<uint8_t, 512> mbr{};
  for (size_t i = 0; i < c.partitions.size(); ++i) {
    uint8_t* const entry = &mbr[0x1be + 16 * i];
    entry[5] = c.partitions[i].end_head;
    entry[6] = c.partitions[i].end_sector;
    store_le<uint32_t>(entry + 12, c.partitions[i].sectors);
  }
  if (!c.partitions.empty()) mbr[510] = 0x55, mbr[511] = 0xaa;
  const HdGeometryGuess guess = guess_geometry(mbr, c.sectors);
  EXPECT_EQ(guess.geometry, c.geometry);
  EXPECT_EQ(guess.translation, c.translation);
}

constexpr uint64_t kGiB = (uint64_t{1} << 30) / 512;
INSTANTIATE_TEST_SUITE_P(
    Disks, Geometry,
    testing::ValuesIn(std::to_array<Case>({
        {"Tiny", 1, {}, {2, 16, 63}, kNone},
        {"Small", 61440, {}, {60, 16, 63}, kNone},
        {"Large", kGiB, {}, {2080, 16, 63}, kLba},
        {"Huge", 100 * kGiB, {}, {16383, 16, 63}, kLba},
        {"UsedWithChs", kGiB, {{7, 17, 1000}}, {15420, 8, 17}, kNone},
        {"UsedWithLba", kGiB, {{254, 63, 1000}}, {2080, 16, 63}, kLarge},
        {"UsedWithLbaAndLarge", 4 * kGiB, {{254, 63, 1000}}, {8322, 16, 63}, kLba},
        {"NoEndHead", kGiB, {{0, 63, 1000}}, {2080, 16, 63}, kLba},
        {"EmptyPartition", kGiB, {{15, 63, 0}}, {2080, 16, 63}, kLba},
        {"SecondPartitionTells", kGiB, {{15, 0, 100}, {31, 63, 100}}, {2080, 16, 63}, kLarge},
        {"ImpossiblyManyCylinders", kGiB, {{15, 1, 100}}, {2080, 16, 63}, kLba},
    })),
    [](const auto& made) { return made.param.name; });

TEST(GeometryLimits, NameTheValueThatIsOutOfThem) {
  const HdGeometryLimits limits{65535, 16, 255};
  EXPECT_TRUE(check_geometry({65535, 16, 255}, limits));
  EXPECT_EQ(check_geometry({70000, 16, 63}, limits).error().message(), "cyls must be between 1 and 65535");
  EXPECT_EQ(check_geometry({10, 17, 63}, limits).error().message(), "heads must be between 1 and 16");
  EXPECT_EQ(check_geometry({10, 16, 0}, limits).error().message(), "secs must be between 1 and 255");
}

}  // namespace
}  // namespace rhea
