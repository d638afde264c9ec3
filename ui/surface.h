// A picture in memory: what a display device shows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace rhea {

/// Pixels [x, x + width) × [y, y + height).
struct PixelRect {
  int x = 0, y = 0, width = 0, height = 0;
  bool empty() const { return width <= 0 || height <= 0; }
  friend bool operator==(const PixelRect&, const PixelRect&) = default;
};

/// The smallest rectangle that holds both; an empty one adds nothing.
PixelRect unite(const PixelRect& a, const PixelRect& b);

/// Rows of 32-bit pixels, 0x00RRGGBB in host byte order, without gaps.
class Surface {
 public:
  static constexpr int kMaxSide = 16384;  ///< pixels

  /// Black; both sides 1..kMaxSide.
  Surface(int width, int height)
      : width_(width), height_(height), pixels_(static_cast<size_t>(width) * static_cast<size_t>(height)) {}
  int width() const { return width_; }
  int height() const { return height_; }
  uint32_t* row(int y) { return &pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_)]; }
  const uint32_t* row(int y) const { return &pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_)]; }

 private:
  int width_, height_;
  std::vector<uint32_t> pixels_;
};

}  // namespace rhea
