// Text modes: cells of a character and an attribute, glyphs from plane 2, the cursor, what blinks.
// Spec: IBM VGA XGA Technical Reference, "Alphanumeric modes".
#include <algorithm>

#include "hw/display/vga_render.h"

namespace rhea {

namespace {

constexpr int64_t kFrameNs = 1'000'000'000 / 70;
constexpr int64_t kCursorPhaseNs = 16 * kFrameNs, kBlinkPhaseNs = 32 * kFrameNs;
// Of a cell's value, above character and attribute.
constexpr uint32_t kCursor = 1 << 16, kHidden = 1 << 17;
constexpr uint32_t kNothing = UINT32_MAX;

bool lit(int64_t now_ns, int64_t phase_ns) {
  return (now_ns / phase_ns & 1) == 0;
}

/// First byte in plane 2 of the font with these three bits of SR03.
uint32_t font_offset(unsigned low_two, unsigned high) {
  return (low_two << 14) | (high << 13);
}

}  // namespace

/// Reads both fonts; true if they are others than before.
bool VgaRenderer::take_fonts() {
  const uint8_t map = core_.state.sr[3];
  const uint32_t starts[2] = {font_offset(map & 3u, map >> 4 & 1u),
                              font_offset(map >> 2 & 3u, map >> 5 & 1u)};
  const uint8_t* memory = core_.vram().host();
  bool changed = false;
  for (size_t f = 0; f < 2; ++f)
    for (uint32_t i = 0; i < kFontBytes; ++i) {
      const uint8_t byte = memory[((starts[f] + i) * 4 + 2) & core_.vram_mask()];
      changed |= byte != fonts_[f][i];
      fonts_[f][i] = byte;
    }
  return changed;
}

uint32_t VgaRenderer::cell(int row, int column, int64_t now_ns) const {
  const VgaState& s = core_.state;
  const uint32_t at =
      mode_.start + static_cast<uint32_t>(row) * mode_.line_bytes + static_cast<uint32_t>(column) * 4;
  const uint8_t* memory = core_.vram().host();
  const uint32_t character = memory[at & core_.vram_mask()], attribute = memory[(at + 1) & core_.vram_mask()];
  uint32_t value = character | attribute << 8;
  if ((s.ar[0x10] & 0x08) != 0 && (attribute & 0x80) != 0 && !lit(now_ns, kBlinkPhaseNs)) value |= kHidden;
  const auto cursor = static_cast<uint32_t>(s.cr[0x0e] << 8 | s.cr[0x0f]) << 2;
  if (at == cursor && (s.cr[0x0a] & 0x20) == 0 && lit(now_ns, kCursorPhaseNs)) value |= kCursor;
  return value;
}

void VgaRenderer::draw_cell(Surface& surface, int row, int column, uint32_t value) {
  const VgaState& s = core_.state;
  const unsigned attribute = value >> 8 & 0xff, character = value & 0xff;
  const bool blinks = (s.ar[0x10] & 0x08) != 0;
  const uint32_t back = colours_[blinks ? attribute >> 4 & 7 : attribute >> 4];
  const uint32_t fore = (value & kHidden) != 0 ? back : colours_[attribute & 0x0f];
  const auto& font = fonts_[(attribute & 0x08) != 0 ? 1 : 0];
  // Box-drawing characters reach into the ninth dot.
  const bool joined = (s.ar[0x10] & 0x04) != 0 && character >= 0xc0 && character <= 0xdf;
  const bool monochrome = (s.ar[0x10] & 0x02) != 0;
  const int underline = monochrome && (attribute & 0x07) == 1 ? s.cr[0x14] & 0x1f : -1;
  const int cursor_first = s.cr[0x0a] & 0x1f, cursor_last = s.cr[0x0b] & 0x1f;
  const int left = column * mode_.cell_width * mode_.pixel_repeat;
  for (int line = 0; line < mode_.scan_lines; ++line) {
    unsigned dots = font[character * 32 + static_cast<unsigned>(line)] << 1;
    if (joined) dots |= dots >> 1 & 1;
    if (line == underline) dots = 0x1ff;
    if ((value & kCursor) != 0 && line >= cursor_first && line <= cursor_last) dots = 0x1ff;
    for (int again = 0; again < mode_.line_repeat; ++again) {
      uint32_t* out = surface.row((row * mode_.scan_lines + line) * mode_.line_repeat + again) + left;
      for (int dot = 0; dot < mode_.cell_width; ++dot)
        for (int i = 0; i < mode_.pixel_repeat; ++i) *out++ = (dots >> (8 - dot) & 1) != 0 ? fore : back;
    }
  }
}

void VgaRenderer::text(Console& console, bool all, int64_t now_ns) {
  const auto count = static_cast<size_t>(mode_.columns) * static_cast<size_t>(mode_.rows);
  if (take_fonts()) all = true;
  if (all || cells_.size() != count) cells_.assign(count, kNothing);
  PixelRect area;
  size_t i = 0;
  const int width = mode_.cell_width * mode_.pixel_repeat, height = mode_.scan_lines * mode_.line_repeat;
  for (int row = 0; row < mode_.rows; ++row) {
    for (int column = 0; column < mode_.columns; ++column, ++i) {
      const uint32_t value = cell(row, column, now_ns);
      if (value == cells_[i]) continue;
      cells_[i] = value;
      draw_cell(console.surface(), row, column, value);
      area = unite(area, {column * width, row * height, width, height});
    }
  }
  console.changed(area);
}

}  // namespace rhea
