// Registers and memory of the VGA without a machine.
#include "hw/display/vga_core.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

class Vga : public testing::Test {
 protected:
  static std::shared_ptr<RamBlock> memory() { return *RamBlock::create("vram", 1 << 20); }
  void sequencer(uint8_t index, uint8_t value) {
    core.port_write(0x3c4, index);
    core.port_write(0x3c5, value);
  }
  void graphics(uint8_t index, uint8_t value) {
    core.port_write(0x3ce, index);
    core.port_write(0x3cf, value);
  }
  void planar() {
    sequencer(2, 0x0f);
    sequencer(4, 0x06);
    graphics(5, 0);
    graphics(6, 0x05);
    graphics(8, 0xff);
  }
  uint8_t plane(uint32_t address, uint32_t p) { return core.vram().host()[address * 4 + p]; }
  VgaCore core{memory()};
};

TEST_F(Vga, WriteModesChangeTheLatches) {
  planar();
  core.window_write(7, 0xa5);
  for (uint32_t p = 0; p < 4; ++p) EXPECT_EQ(plane(7, p), 0xa5);
  core.window_read(7);
  graphics(5, 1);  // the latches as they are
  core.window_write(9, 0);
  for (uint32_t p = 0; p < 4; ++p) EXPECT_EQ(plane(9, p), 0xa5);
  graphics(5, 3);  // set/reset through the byte and the mask
  graphics(0, 0x02);
  graphics(8, 0x0f);
  core.window_read(7);
  core.window_write(7, 0x3c);
  EXPECT_EQ(plane(7, 1), 0xa5 | 0x0c);
  EXPECT_EQ(plane(7, 0), 0xa5 & ~0x0c);
}

TEST_F(Vga, LogicAndRotation) {
  planar();
  core.window_write(0, 0xf0);
  core.window_read(0);
  graphics(3, 0x18 | 4);  // xor, rotate by 4
  core.window_write(0, 0x0f);
  EXPECT_EQ(plane(0, 0), 0x00);
}

TEST_F(Vga, WindowFollowsTheMap) {
  sequencer(2, 0x0f);
  sequencer(4, 0x0e);
  for (const auto& [map, first, size] :
       {std::tuple{0, 0u, 0x20000u}, {1, 0u, 0x10000u}, {2, 0x10000u, 0x8000u}, {3, 0x18000u, 0x8000u}}) {
    graphics(6, static_cast<uint8_t>(map << 2 | 1));
    core.vram().host()[0] = core.vram().host()[size - 1] = 0x5a;
    EXPECT_EQ(core.window_read(first), 0x5a);
    EXPECT_EQ(core.window_read(first + size - 1), 0x5a);
    if (first + size < 0x20000) {
      EXPECT_EQ(core.window_read(first + size), 0xff);
    }
    if (first > 0) {
      EXPECT_EQ(core.window_read(first - 1), 0xff);
    }
  }
}

TEST_F(Vga, VbeModesAreMadeToFit) {
  core.vbe_write(vbe::kXres, 65535);
  EXPECT_LE(core.vbe_read(vbe::kXres), vbe::kMaxXres);
  core.vbe_write(vbe::kYres, 65535);
  core.vbe_write(vbe::kBpp, 17);
  EXPECT_EQ(core.vbe_read(vbe::kBpp), 8);
  core.vbe_write(vbe::kBpp, 32);
  core.vbe_write(vbe::kEnable, vbe::kEnabled | vbe::kLfb);
  const VgaState& s = core.state;
  EXPECT_LE(uint64_t{s.vbe_line_offset} * s.vbe_regs[vbe::kYres] + s.vbe_start_addr * 4, core.vram().size());
  core.vbe_write(vbe::kYoffset, 65535);
  EXPECT_LE(uint64_t{s.vbe_line_offset} * s.vbe_regs[vbe::kYres] + s.vbe_start_addr * 4, core.vram().size());
  core.vbe_write(vbe::kBank, 65535);
  EXPECT_EQ(core.vbe_read(vbe::kBank), 15);
  core.vbe_write(200, 1);
  EXPECT_EQ(core.vbe_read(200), 0);
}

TEST_F(Vga, StateComesBackAsItWas) {
  planar();
  core.port_write(0x3c8, 3);
  for (uint8_t v : {1, 2, 3}) core.port_write(0x3c9, v);
  core.vbe_write(vbe::kXres, 640);
  core.vbe_write(vbe::kYres, 400);
  core.vbe_write(vbe::kBpp, 32);
  core.vbe_write(vbe::kEnable, 0x41);
  core.big_endian = true;
  StateWriter out;
  vmstate_save(kVgaStateVmState, &core, out);
  VgaCore other(memory());
  StateReader in(out.buffer());
  ASSERT_TRUE(vmstate_load(kVgaStateVmState, &other, in, 2));
  EXPECT_EQ(in.left(), 0u);
  EXPECT_EQ(other.state, core.state);
  EXPECT_TRUE(other.big_endian);
}

TEST_F(Vga, BadStatesAreRefused) {
  for (auto spoil : {+[](VgaState& s) { s.sr_index = 8; }, +[](VgaState& s) { s.gr_index = 16; },
                     +[](VgaState& s) { s.dac_sub_index = 3; }, +[](VgaState& s) { s.bank_offset = 1 << 20; },
                     +[](VgaState& s) { s.is_vbe = 0; }}) {
    VgaCore bad(memory());
    spoil(bad.state);
    StateWriter out;
    vmstate_save(kVgaStateVmState, &bad, out);
    StateReader in(out.buffer());
    EXPECT_FALSE(vmstate_load(kVgaStateVmState, &core, in, 2));
  }
}

}  // namespace
}  // namespace rhea
