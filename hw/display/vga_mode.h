// What the registers of a VGA say about the picture.
#pragma once

#include "hw/display/vga_core.h"

namespace rhea {

enum class VgaFormat : uint8_t {
  kBlank,   ///< the screen is off
  kText,    ///< characters and attributes, fonts in plane 2
  kPlanar,  ///< four planes of one bit
  kCga,     ///< pairs of bits, as the CGA had them
  kPacked8,
  kPacked15,
  kPacked16,
  kPacked24,
  kPacked32
};

struct VgaMode {
  VgaFormat format = VgaFormat::kBlank;
  int width = 0, height = 0;  ///< of the picture, pixels
  int pixel_repeat = 1;       ///< pictured pixels for one in memory
  int line_repeat = 1;        ///< pictured lines for one scan line
  int scan_lines = 1;         ///< scan lines of a character row; of graphics that repeat a line
  uint32_t start = 0;         ///< first byte shown
  uint32_t line_bytes = 0;    ///< from a row to the next
  int split_line = 1 << 16;   ///< below this line the picture starts at byte 0
  int pan = 0;                ///< pixels in memory skipped at the left
  bool pan_split = true;      ///< below the split too
  int columns = 0, rows = 0;  ///< text
  int cell_width = 8;         ///< text
  int preset_row = 0;         ///< scan line of the first row that is shown first
};

VgaMode vga_mode(const VgaCore& core);

}  // namespace rhea
