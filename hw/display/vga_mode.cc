// Spec: IBM VGA XGA Technical Reference, "CRT Controller", "Attribute Controller".
#include "hw/display/vga_mode.h"

#include <algorithm>

namespace rhea {

namespace {

constexpr uint8_t kVgaModeVideoOn = 0x20, kScreenOff = 0x20, kHalfDotClock = 0x08, kEightDots = 0x01;

int vertical_end(const VgaState& s) {
  return (s.cr[0x12] | (s.cr[0x07] & 0x02) << 7 | (s.cr[0x07] & 0x40) << 3) + 1;
}

VgaFormat packed_format(uint16_t bits) {
  switch (bits) {
    case 15:
      return VgaFormat::kPacked15;
    case 16:
      return VgaFormat::kPacked16;
    case 24:
      return VgaFormat::kPacked24;
    case 32:
      return VgaFormat::kPacked32;
    default:
      return VgaFormat::kPacked8;
  }
}

void text_mode(const VgaState& s, VgaMode& mode) {
  mode.format = VgaFormat::kText;
  mode.scan_lines = (s.cr[0x09] & 0x1f) + 1;
  mode.line_repeat = (s.cr[0x09] & 0x80) != 0 ? 2 : 1;
  mode.cell_width = (s.sr[1] & kEightDots) != 0 ? 8 : 9;
  mode.pixel_repeat = (s.sr[1] & kHalfDotClock) != 0 ? 2 : 1;
  mode.columns = s.cr[0x01] + 1;
  mode.rows = std::max(vertical_end(s) / (mode.scan_lines * mode.line_repeat), 1);
  mode.width = mode.columns * mode.cell_width * mode.pixel_repeat;
  mode.height = mode.rows * mode.scan_lines * mode.line_repeat;
}

void graphics_mode(const VgaState& s, VgaMode& mode) {
  mode.width = (s.cr[0x01] + 1) * 8;
  mode.height = vertical_end(s);
  mode.scan_lines = (s.cr[0x09] & 0x1f) + 1;
  mode.line_repeat = (s.cr[0x09] & 0x80) != 0 ? 2 : 1;
  mode.pan = s.ar[0x13] & 7;
  if ((s.gr[5] & 0x40) != 0) {  // 256 colours: two dots a pixel
    mode.format = VgaFormat::kPacked8;
    mode.pixel_repeat = 2;
    mode.pan /= 2;
    return;
  }
  mode.format = (s.gr[5] & 0x20) != 0 ? VgaFormat::kCga : VgaFormat::kPlanar;
  if ((s.sr[1] & kHalfDotClock) != 0) {
    mode.pixel_repeat = 2;
    mode.width *= 2;
  }
}

void vbe_mode(const VgaState& s, VgaMode& mode) {
  mode.format = s.vbe_regs[vbe::kBpp] == 4 ? VgaFormat::kPlanar : packed_format(s.vbe_regs[vbe::kBpp]);
  mode.width = s.vbe_regs[vbe::kXres];
  mode.height = s.vbe_regs[vbe::kYres];
  mode.start = s.vbe_start_addr << 2;
  mode.line_bytes = s.vbe_line_offset;
}

}  // namespace

VgaMode vga_mode(const VgaCore& core) {
  const VgaState& s = core.state;
  VgaMode mode;
  if ((s.ar_index & kVgaModeVideoOn) == 0 || (s.sr[1] & kScreenOff) != 0) return mode;
  if (core.vbe_on() && (s.gr[6] & 1) != 0) {
    vbe_mode(s, mode);
    return mode;
  }
  mode.start = static_cast<uint32_t>(s.cr[0x0c] << 8 | s.cr[0x0d]) << 2;
  mode.start += static_cast<uint32_t>(s.cr[0x08] >> 5 & 3) << 2;  // byte panning
  mode.line_bytes = uint32_t{s.cr[0x13]} << 3;
  mode.split_line = s.cr[0x18] | (s.cr[0x07] & 0x10) << 4 | (s.cr[0x09] & 0x40) << 3;
  mode.pan_split = (s.ar[0x10] & 0x20) == 0;
  mode.preset_row = s.cr[0x08] & 0x1f;
  if ((s.gr[6] & 1) == 0)
    text_mode(s, mode);
  else
    graphics_mode(s, mode);
  return mode;
}

}  // namespace rhea
