// A surface as a picture file.
#pragma once

#include <cstdint>
#include <vector>

#include "ui/surface.h"
#include "util/result.h"

namespace rhea {

/// Raw portable pixmap, 8 bits a colour. Spec: netpbm, "PPM Format".
std::vector<uint8_t> encode_ppm(const Surface& surface);
/// Truecolour, 8 bits a colour, not interlaced. Spec: W3C "Portable Network Graphics", second edition.
Result<std::vector<uint8_t>> encode_png(const Surface& surface);

}  // namespace rhea
