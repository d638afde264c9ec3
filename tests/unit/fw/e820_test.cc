#include "hw/i386/e820.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

TEST(E820, ListsRamBelowAndAboveFourGib) {
  auto map = ram_map(0xc000'0000, 0x4000'0000);
  ASSERT_EQ(map.size(), 2u);
  EXPECT_EQ(map[1].address, 0x1'0000'0000u);
  EXPECT_EQ(ram_map(0x1000'0000, 0).size(), 1u);
}

TEST(E820, EntriesAreTwentyLittleEndianBytes) {
  std::vector<E820Entry> map{{0x1122'3344'5566'7788, 0x4000, E820Type::kReserved}};
  EXPECT_EQ(encode_e820(map), (Bytes{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0x40,
                                     0,    0,    0,    0,    0,    0,    2,    0,    0,    0}));
}

}  // namespace
}  // namespace rhea
