#include "accel/x86_paging.h"

#include <gtest/gtest.h>

#include <map>

namespace rhea {
namespace {

constexpr uint64_t kP = 1, kW = 2, kU = 4, kPs = 0x80;

/// Tables in a memory of its own.
class Paging : public testing::Test {
 protected:
  Paging() {
    state.cr0 = 0x80000001;
    state.cr3 = 0x1000;
  }
  void put(uint64_t address, uint64_t value, unsigned bytes = 8) {
    for (unsigned i = 0; i < bytes; ++i) memory[address + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  std::string pages() {
    std::string out;
    complete = x86_for_each_page(state, read, 1000, [&](const X86Page& p) {
      str_append(out, hex(p.linear), ">", hex(p.physical), "+", hex(p.bytes), p.user ? "u" : "",
                 p.writable ? "w" : "", " ");
      return true;
    });
    return out;
  }
  std::string at(uint64_t linear) {
    const auto found = x86_translate(state, linear, read);
    return found ? hex(*found) : "none";
  }

  X86State state;
  std::map<uint64_t, uint8_t> memory;
  bool complete = false;
  X86ReadPhysical read = [this](uint64_t address, unsigned bytes) {
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; ++i) {
      const auto found = memory.find(address + i);
      if (found != memory.end()) v |= uint64_t{found->second} << (8 * i);
    }
    return v;
  };
};

TEST_F(Paging, OffMeansLinearIsPhysical) {
  state.cr0 = 1;
  EXPECT_EQ(at(0x1234), "1234");
  EXPECT_EQ(pages(), "");
}

TEST_F(Paging, LongModeHasFourLevelsAndLargePages) {
  state.cr4 = 0x20;
  state.efer = 0x500;
  put(0x1000, 0x2000 | kP | kW | kU);
  put(0x1ff8, 0x2000 | kP | kW);  // the upper half shows the same
  put(0x2000, 0x3000 | kP | kW | kU);
  put(0x3000, 0x4000 | kP | kW | kU);
  put(0x3008, 0x400000 | kP | kW | kPs);  // 2 MiB
  put(0x4008, 0x7000 | kP | kU);
  EXPECT_EQ(at(0x1abc), "7abc");
  EXPECT_EQ(at(0x212345), "412345");
  EXPECT_EQ(at(0xffffff8000001abc), "7abc");
  EXPECT_EQ(at(0x2000), "none");
  EXPECT_EQ(at(0x0000ff8000001abc), "none");  // not canonical
  EXPECT_EQ(pages(),
            "1000>7000+1000u 200000>400000+200000w ffffff8000001000>7000+1000 "
            "ffffff8000200000>400000+200000w ");
  EXPECT_TRUE(complete);
}

TEST_F(Paging, TablesThatNameThemselvesEnd) {
  state.cr4 = 0x20;
  state.efer = 0x500;
  for (uint64_t i = 0; i < 512; ++i) put(0x1000 + 8 * i, 0x1000 | kP);
  pages();
  EXPECT_FALSE(complete);
}

TEST_F(Paging, PaeHasFourPointersWithoutRights) {
  state.cr4 = 0x20;
  put(0x1018, 0x2000 | kP);  // 3 GiB up
  put(0x2000, 0x3000 | kP | kW | kU);
  put(0x3000, 0x8000'0000'0000'9000 | kP | kW | kU);
  EXPECT_EQ(at(0xc0000123), "9123");
  EXPECT_EQ(pages(), "c0000000>9000+1000uw ");
}

TEST_F(Paging, TwoLevelsWithFourMegabytePages) {
  put(0x1000, 0x2000 | kP | kW, 4);
  put(0x1004, 0x0040'0000 | kP | kPs | 1 << 13, 4);
  put(0x2004, 0x9000 | kP | kW, 4);
  EXPECT_EQ(at(0x1005), "9005");
  state.cr4 = 0x10;
  EXPECT_EQ(at(0x400010), "100400010");  // PSE-36
  EXPECT_EQ(pages(), "1000>9000+1000w 400000>100400000+400000 ");
}

TEST(Registers, GoByTheirNames) {
  X86State s;
  s.gpr[kRsp] = 5;
  s.gpr[9] = 7;
  s.rip = 0xfff0;
  s.seg[kCs].base = 0xffff0000;
  s.seg[kCs].selector = 0xf000;
  EXPECT_EQ(x86_register(s, "sp").value_or(0), 5u);
  EXPECT_EQ(x86_register(s, "r9").value_or(0), 7u);
  EXPECT_EQ(x86_register(s, "pc").value_or(0), 0xfff0u);
  EXPECT_EQ(x86_register(s, "cs").value_or(0), 0xf000u);
  EXPECT_EQ(x86_register(s, "cs.base").value_or(0), 0xffff0000u);
  EXPECT_FALSE(x86_register(s, "cs.nope"));
  EXPECT_FALSE(x86_register(s, ""));
  EXPECT_EQ(x86_code_bits(s), 16u);
}

}  // namespace
}  // namespace rhea
