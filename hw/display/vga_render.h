// Turns video memory into pixels, and only what changed of it.
#pragma once

#include <array>
#include <vector>

#include "hw/display/vga_mode.h"
#include "ui/console.h"

namespace rhea {

class VgaRenderer {
 public:
  explicit VgaRenderer(VgaCore& core) : core_(core) {}

  /// Renders into the console's surface what changed since the last call, with `all` everything, and reports
  /// it. While changes are not tracked (RamBlock::set_tracking), everything is taken for changed. `now_ns` is
  /// the guest's time, for what blinks.
  void render(Console& console, bool all, int64_t now_ns);

 private:
  static constexpr size_t kFontBytes = 8192;
  /// Registers with all that is not seen at its initial value.
  VgaState look() const;
  bool take_dirty_pages(bool all);
  bool dirty(uint32_t at, uint32_t bytes) const;
  void copy_line(uint32_t at, uint32_t bytes);
  void blank(Console& console);

  void text(Console& console, bool all, int64_t now_ns);
  bool take_fonts();
  uint32_t cell(int row, int column, int64_t now_ns) const;
  void draw_cell(Surface& surface, int row, int column, uint32_t value);

  void graphics(Console& console, bool all);
  void make_colours();
  uint32_t line_address(uint32_t row_start, int scan_line) const;
  uint32_t memory_bytes_of_line() const;
  void draw_line(uint32_t* out, uint32_t at, int pan);
  void expand(int pixels);

  VgaCore& core_;
  VgaMode mode_;
  VgaState seen_;
  bool drawn_ = false;  ///< something is on the surface already
  std::vector<bool> pages_;
  std::vector<uint8_t> line_;     ///< memory of the line being drawn
  std::vector<uint32_t> pixels_;  ///< its pixels, before they are repeated
  std::array<uint32_t, 256> colours_{};
  // Text: what stands on the screen.
  std::vector<uint32_t> cells_;
  std::array<std::array<uint8_t, kFontBytes>, 2> fonts_{};
};

}  // namespace rhea
