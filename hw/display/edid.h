// The EDID of a monitor that likes one size best.
// Spec: VESA Enhanced EDID Standard, release A, revision 2 (structure 1.4).
#pragma once

#include <array>
#include <cstdint>

namespace rhea {

using EdidBlock = std::array<uint8_t, 128>;

/// `width` and `height` in pixels, at most 4095 each; `refresh_mhz` in thousandths of a Hz, 0: 75 Hz.
EdidBlock make_edid(unsigned width, unsigned height, unsigned refresh_mhz);

}  // namespace rhea
