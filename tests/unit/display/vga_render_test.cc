// Pictures of small modes, and that only what changed is drawn.
#include "hw/display/vga_render.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

struct Nothing final : ConsoleSource {
  void render(Console&, bool) override {}
};
struct Viewer final : ConsoleViewer {
  void resized(const Surface&) override { ++sizes; }
  void changed(const Surface&, const PixelRect& area) override { areas.push_back(area); }
  int sizes = 0;
  std::vector<PixelRect> areas;
};

class Render : public testing::Test {
 protected:
  Render() {
    console.add_viewer(viewer);
    core.state.msr = 1;
    core.state.ar_index = 0x20;
    for (uint8_t i = 0; i < 16; ++i) core.state.ar[i] = i;
    for (size_t i = 0; i < 256; ++i) core.state.palette[3 * i + 2] = static_cast<uint8_t>(i & 0x3f);  // blues
    core.state.ar[0x12] = 0x0f;
    core.state.cr[0x17] = 0xe3;
    core.state.cr[0x18] = 0xff;
    core.state.cr[0x07] = 0x10;
    core.state.cr[0x09] = 0x40;
  }
  ~Render() override { console.remove_viewer(viewer); }

  void size(int columns, int lines) {
    core.state.cr[0x01] = static_cast<uint8_t>(columns - 1);
    core.state.cr[0x12] = static_cast<uint8_t>(lines - 1);
    core.state.cr[0x13] = static_cast<uint8_t>(columns / 2);
  }
  uint8_t* memory() { return core.vram().host(); }
  void poke(uint32_t at, std::initializer_list<uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), memory() + at);
    core.vram().mark_dirty(at, bytes.size());
  }
  void draw(int64_t now_ns = 0) {
    viewer.areas.clear();
    renderer.render(console, false, now_ns);
  }
  /// Pixels as blue's six bits, one hexadecimal pair each.
  std::string row(int y, int count) {
    std::string out;
    for (int x = 0; x < count; ++x) out += hex(console.surface().row(y)[x] >> 2 & 0x3f, 2);
    return out;
  }

  Nothing source;
  Object owner;
  Console console{source, owner};
  Viewer viewer;
  VgaCore core{*RamBlock::create("vram", 1 << 20)};
  VgaRenderer renderer{core};
};

TEST_F(Render, Planar) {
  core.state.gr[6] = 5;
  size(4, 2);
  poke(0, {0b10000001, 0b01000000, 0b00100000, 0b00010001});
  draw();
  EXPECT_EQ(console.surface().width(), 32);
  EXPECT_EQ(row(0, 8), "0102040800000009");
  EXPECT_EQ(row(1, 8), "0000000000000000");
  core.state.ar[0x13] = 3;  // panned
  draw();
  EXPECT_EQ(row(0, 5), "0800000009");
  core.state.ar[0x13] = 0;
  core.state.sr[1] = 8;  // half the dots
  draw();
  EXPECT_EQ(row(0, 4), "01010202");
}

TEST_F(Render, CgaPairs) {
  core.state.gr[6] = 5;
  core.state.gr[5] = 0x20;
  size(4, 2);
  poke(0, {0b00011011, 0b11100100, 0, 0});
  draw();
  EXPECT_EQ(row(0, 8), "0001020303020100");
}

TEST_F(Render, Packed256WithDoubledLinesAndSplit) {
  core.state.gr[6] = 5;
  core.state.gr[5] = 0x40;
  core.state.cr[0x09] = 0x41;  // two scan lines a row
  size(4, 6);
  poke(0, {1, 2});
  poke(16, {3, 4});
  draw();
  EXPECT_EQ(row(0, 4), "01010202");
  EXPECT_EQ(row(1, 4), "01010202");
  EXPECT_EQ(row(2, 4), "03030404");
  core.state.cr[0x07] = core.state.cr[0x09] = 0;
  core.state.cr[0x18] = 2;  // below line 2 from the start again
  core.state.cr[0x0d] = 4;
  draw();
  EXPECT_EQ(row(0, 2), "0303");
  EXPECT_EQ(row(3, 2), "0101");
}

TEST_F(Render, OnlyChangedLinesAreDrawn) {
  for (auto [index, value] : {std::pair<uint16_t, uint16_t>{1, 1024}, {2, 64}, {3, 32}, {4, 0x41}})
    core.vbe_write(index, value);
  core.vram().set_tracking(DirtyClient::kDisplay, true);
  draw();
  EXPECT_EQ(viewer.areas, (std::vector<PixelRect>{{0, 0, 1024, 64}}));
  draw();
  EXPECT_TRUE(viewer.areas.empty());
  poke(4096 * 5 + 8, {0xff});
  poke(4096 * 9, {0xff});
  draw();
  EXPECT_EQ(viewer.areas, (std::vector<PixelRect>{{0, 5, 1024, 1}, {0, 9, 1024, 1}}));
}

TEST_F(Render, TextDrawsCellsThatChanged) {
  core.state.sr[1] = 1;
  core.state.cr[0x09] = 0x40 | 3;  // four lines a character
  core.state.cr[0x0a] = 0x20;
  size(4, 8);
  memory()[(2 * 32 + 1) * 4 + 2] = 0xf0;  // line 1 of character 2
  poke(4 * 5, {2, 0x17});                 // row 1, column 1
  draw();
  EXPECT_EQ(console.surface().width(), 32);
  EXPECT_EQ(console.surface().height(), 8);
  EXPECT_EQ(row(5, 18).substr(16),
            "0707070701010101"
            "0000");
  core.vram().set_tracking(DirtyClient::kDisplay, true);
  poke(4 * 5, {2, 0x27});
  draw();
  EXPECT_EQ(viewer.areas, (std::vector<PixelRect>{{8, 4, 8, 4}}));
  draw();
  EXPECT_TRUE(viewer.areas.empty());
}

TEST_F(Render, CursorAndAttributeBlink) {
  core.state.sr[1] = 1;
  core.state.cr[0x09] = 0x40 | 3;
  core.state.ar[0x10] = 0x08;
  core.state.cr[0x0a] = 2;
  core.state.cr[0x0b] = 3;
  core.state.cr[0x0f] = 1;
  size(4, 8);
  memory()[(2 * 32 + 1) * 4 + 2] = 0xff;
  poke(0, {2, 0x87, 0, 0, 0, 0x07});
  draw();
  EXPECT_EQ(row(1, 8), "0707070707070707");
  EXPECT_EQ(row(2, 16).substr(16), "0707070707070707");
  draw(300'000'000);  // the cursor's other half
  EXPECT_EQ(row(2, 16).substr(16), "0000000000000000");
  draw(600'000'000);  // the attribute's too
  EXPECT_EQ(row(1, 8), "0000000000000000");
}

TEST_F(Render, BlankScreenIsBlack) {
  core.state.gr[6] = 5;
  size(4, 2);
  poke(0, {0xff, 0xff, 0xff, 0xff});
  draw();
  core.state.ar_index = 0;
  draw();
  EXPECT_EQ(row(0, 4), "00000000");
}

}  // namespace
}  // namespace rhea
