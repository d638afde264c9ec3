// SMBIOS structures as DSP0134 lays them out, read back the way a guest does.
#include "hw/i386/smbios.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/fw/fake_firmware.h"

namespace rhea {
namespace {

using test::read_le;

struct Parsed {
  uint8_t type;
  Bytes area;
  std::vector<std::string> strings;
};

// Walks the structures; gives up (short result) where the table is malformed.
std::vector<Parsed> parse(const Bytes& t) {
  std::vector<Parsed> out;
  size_t at = 0;
  while (at + 4 <= t.size() && t[at + 1] >= 4 && at + t[at + 1] + 2u <= t.size()) {
    Parsed p{
        t[at], Bytes(t.begin() + static_cast<long>(at), t.begin() + static_cast<long>(at + t[at + 1])), {}};
    at += t[at + 1];
    if (t[at] == 0) at++;
    while (at < t.size() && t[at] != 0) {
      std::string s(reinterpret_cast<const char*>(&t[at]));
      at += s.size() + 1;
      p.strings.push_back(s);
    }
    at++;
    out.push_back(p);
    if (p.type == 127 && at == t.size()) return out;
  }
  ADD_FAILURE() << "malformed at " << at << " of " << t.size();
  return out;
}

SmbiosConfig small() {
  SmbiosConfig c;
  c.uuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
  c.ram_below_4g = 0x1000'0000;
  return c;
}

Parsed find(const SmbiosConfig& c, uint8_t type, size_t index = 0) {
  auto files = build_smbios(c);
  if (files) {
    for (Parsed& p : parse(files->tables)) {
      if (p.type == type && index-- == 0) return p;
    }
  }
  ADD_FAILURE() << "no structure of type " << int{type};
  return {};
}

TEST(Smbios, HasTheUsualStructures) {
  std::vector<uint8_t> types;
  for (auto& p : parse(build_smbios(small())->tables)) types.push_back(p.type);
  EXPECT_EQ(types, (std::vector<uint8_t>{1, 3, 4, 16, 17, 19, 32, 127}));
}

TEST(Smbios, LengthsFollowVersion28) {
  SmbiosConfig c = small();
  c.bios = SmbiosBios{.vendor = "V"};
  c.baseboard = SmbiosBaseboard{.product = "P"};
  const std::pair<uint8_t, size_t> lengths[] = {{0, 0x18},  {1, 0x1b},  {2, 0x0f},  {3, 0x16},  {4, 0x2a},
                                                {16, 0x17}, {17, 0x28}, {19, 0x1f}, {32, 0x0b}, {127, 4}};
  for (auto [type, length] : lengths) EXPECT_EQ(find(c, type).area.size(), length) << int{type};
}

TEST(Smbios, SystemNamesTheMachine) {
  Parsed p = find(small(), 1);
  EXPECT_EQ(p.strings,
            (std::vector<std::string>{"QEMU", "Standard PC (i440FX + PIIX, 1996)", "pc-i440fx-7.2"}));
  EXPECT_EQ(read_le(p.area, 8, 8), 0x6677'4455'0011'2233u);  // the first three UUID fields are swapped
  EXPECT_EQ(read_le(p.area, 16, 8), 0xffee'ddcc'bbaa'9988u);
}

TEST(Smbios, AnEmptyTextTakesNoNumber) {
  SmbiosConfig c = small();
  c.system.version = "";
  c.system.serial = "S1";
  Parsed p = find(c, 1);
  EXPECT_EQ(read_le(p.area, 4, 4), 0x0300'0201u);
}

TEST(Smbios, LargeMemoryIsSplitIntoModules) {
  SmbiosConfig c = small();
  c.ram_below_4g = 0xc000'0000;
  c.ram_above_4g = 0x8'0000'0000 - c.ram_below_4g;  // 32 GiB in all
  EXPECT_EQ(read_le(find(c, 16).area, 13, 2), 2u);
  EXPECT_EQ(read_le(find(c, 17, 1).area, 12, 2), 16384u);
  EXPECT_EQ(read_le(find(c, 19, 1).area, 4, 4), 0x40'0000u);  // KiB
}

TEST(Smbios, AnchorChecksumsHold) {
  auto files = build_smbios(small());
  ASSERT_TRUE(files);
  const Bytes& a = files->anchor;
  ASSERT_EQ(a.size(), 31u);
  EXPECT_EQ(std::accumulate(a.begin(), a.end(), 0u) & 0xff, 0u);
  EXPECT_EQ(std::accumulate(a.begin() + 16, a.end(), 0u) & 0xff, 0u);
  EXPECT_EQ(read_le(a, 0x16, 2), files->tables.size());
  EXPECT_EQ(read_le(a, 0x1c, 2), 8u);
}

TEST(Smbios, TooManySocketsIsAnError) {
  SmbiosConfig c = small();
  c.sockets = 2000;
  auto files = build_smbios(c);
  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message().find("exceed 65535 bytes"), std::string::npos);
  c.sockets = 0xffff'ffff;
  EXPECT_FALSE(build_smbios(c));
}

TEST(Smbios, ANulInATextIsAnError) {
  SmbiosConfig c = small();
  c.system.serial = std::string("a\0b", 3);
  EXPECT_FALSE(build_smbios(c));
}

}  // namespace
}  // namespace rhea
