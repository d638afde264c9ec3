#include "hw/display/edid.h"

#include <gtest/gtest.h>

#include <numeric>

namespace rhea {
namespace {

TEST(Edid, SumsUpToZeroForAllSizes) {
  for (unsigned width : {1u, 640u, 1280u, 1920u, 4095u})
    for (unsigned refresh : {0u, 60'000u, 240'000u}) {
      const EdidBlock e = make_edid(width, width * 3 / 4 + 1, refresh);
      EXPECT_EQ(std::accumulate(e.begin(), e.end(), 0u) % 256, 0u);
    }
}

TEST(Edid, FirstTimingIsTheSizeAskedFor) {
  const EdidBlock e = make_edid(1280, 800, 75'000);
  EXPECT_EQ(e[56] | (e[58] >> 4) << 8, 1280);
  EXPECT_EQ(e[59] | (e[61] >> 4) << 8, 800);
  EXPECT_EQ(e[54] | e[55] << 8, 0x29ea);  // (1280 + 448) * (800 + 28) * 75 Hz, in 10 kHz
}

}  // namespace
}  // namespace rhea
