// The option ROM image is one firmware accepts (Plug and Play BIOS Specification 1.0A, section 3).
#include "hw/i386/linuxboot_rom.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

namespace rhea {
namespace {

uint8_t sum(std::span<const uint8_t> b) {
  return static_cast<uint8_t>(std::accumulate(b.begin(), b.end(), 0u));
}

TEST(LinuxBootRom, HasSignatureSizeAndChecksum) {
  auto rom = linuxboot_rom();
  ASSERT_GE(rom.size(), 512u);
  EXPECT_EQ(rom[0], 0x55);
  EXPECT_EQ(rom[1], 0xaa);
  EXPECT_EQ(rom[2] * 512u, rom.size());
  EXPECT_EQ(sum(rom), 0);
}

TEST(LinuxBootRom, OffersABootEntry) {
  auto rom = linuxboot_rom();
  size_t pnp = rom[0x1a] | rom[0x1b] << 8;
  ASSERT_LE(pnp + 32, rom.size());
  EXPECT_EQ(std::string(rom.begin() + static_cast<long>(pnp), rom.begin() + static_cast<long>(pnp) + 4),
            "$PnP");
  EXPECT_EQ(sum(rom.subspan(pnp, 32)), 0);
  size_t entry = rom[pnp + 0x1a] | rom[pnp + 0x1b] << 8;
  EXPECT_GT(entry, pnp);
  EXPECT_LT(entry, rom.size());
}

}  // namespace
}  // namespace rhea
