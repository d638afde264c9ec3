// The window at 0xa0000: chained, odd/even and planar access to video memory.
// Spec: IBM VGA XGA Technical Reference, "Graphics Controller".
#include "hw/display/vga_core.h"

namespace rhea {

namespace {

constexpr uint8_t kChain4 = 0x08;   // of SR04
constexpr uint8_t kOddEven = 0x10;  // of GR05
constexpr uint8_t kReadMode1 = 0x08;

/// One bit per plane, spread over the plane's byte of a latch.
constexpr uint32_t spread(uint8_t planes) {
  uint32_t v = 0;
  for (int p = 0; p < 4; ++p)
    if ((planes >> p & 1) != 0) v |= uint32_t{0xff} << (8 * p);
  return v;
}
constexpr uint32_t in_all_planes(uint8_t byte) {
  return byte * 0x01010101u;
}

}  // namespace

bool VgaCore::window_address(uint32_t offset, uint32_t& address) const {
  switch (state.gr[6] >> 2 & 3) {
    case 0:
      address = offset;
      return offset < 0x20000;
    case 1:
      address = offset + static_cast<uint32_t>(state.bank_offset);
      return offset < 0x10000;
    case 2:
      address = offset - 0x10000;
      return offset >= 0x10000 && offset < 0x18000;
    default:
      address = offset - 0x18000;
      return offset >= 0x18000 && offset < 0x20000;
  }
}

uint8_t VgaCore::window_read(uint32_t offset) {
  uint32_t address = 0;
  if (!window_address(offset, address)) return 0xff;
  if ((state.sr[4] & kChain4) != 0) return memory_[address & vram_mask_];
  if ((state.gr[5] & kOddEven) != 0) {
    const uint32_t plane = (state.gr[4] & 2u) | (address & 1);
    return memory_[((address & ~1u) << 1 | plane) & vram_mask_];
  }
  const uint32_t at = (address << 2) & vram_mask_;
  state.latch = uint32_t{memory_[at]} | uint32_t{memory_[at + 1]} << 8 | uint32_t{memory_[at + 2]} << 16 |
                uint32_t{memory_[at + 3]} << 24;
  if ((state.gr[5] & kReadMode1) == 0) return static_cast<uint8_t>(state.latch >> (8 * (state.gr[4] & 3)));
  // Colour compare: a bit for each pixel that matches in all planes that count.
  uint32_t differs = (state.latch ^ spread(state.gr[2])) & spread(state.gr[7]);
  differs |= differs >> 16;
  differs |= differs >> 8;
  return static_cast<uint8_t>(~differs);
}

void VgaCore::store_plane_byte(uint32_t at, uint8_t value) {
  memory_[at] = value;
  vram_->mark_dirty(at, 1);
}

void VgaCore::window_write(uint32_t offset, uint8_t value) {
  uint32_t address = 0;
  if (!window_address(offset, address)) return;
  if ((state.sr[4] & kChain4) != 0) {
    if ((state.sr[2] >> (address & 3) & 1) != 0) store_plane_byte(address & vram_mask_, value);
  } else if ((state.gr[5] & kOddEven) != 0) {
    const uint32_t plane = (state.gr[4] & 2u) | (address & 1);
    if ((state.sr[2] >> plane & 1) != 0) store_plane_byte(((address & ~1u) << 1 | plane) & vram_mask_, value);
  } else {
    planar_write(address, value);
  }
}

void VgaCore::planar_write(uint32_t address, uint8_t value) {
  uint8_t bit_mask = state.gr[8];
  const auto rotated = static_cast<uint8_t>(value >> (state.gr[3] & 7) | value << (8 - (state.gr[3] & 7)));
  uint32_t data = 0;
  switch (state.gr[5] & 3) {
    case 0: {
      const uint32_t set = spread(state.gr[1]);  // planes that get set/reset in place of the byte
      data = (in_all_planes(rotated) & ~set) | (spread(state.gr[0]) & set);
      break;
    }
    case 1:
      data = state.latch;
      break;
    case 2:
      data = spread(value & 0x0f);
      break;
    default:
      bit_mask &= rotated;
      data = spread(state.gr[0]);
      break;
  }
  if ((state.gr[5] & 3) != 1) {
    switch (state.gr[3] >> 3 & 3) {
      case 1:
        data &= state.latch;
        break;
      case 2:
        data |= state.latch;
        break;
      case 3:
        data ^= state.latch;
        break;
      default:
        break;
    }
    const uint32_t bits = in_all_planes(bit_mask);
    data = (data & bits) | (state.latch & ~bits);
  }
  const uint32_t planes = spread(state.sr[2]);
  const uint32_t at = (address << 2) & vram_mask_;
  for (uint32_t p = 0; p < 4; ++p)
    if ((planes >> (8 * p) & 0xff) != 0) memory_[at + p] = static_cast<uint8_t>(data >> (8 * p));
  vram_->mark_dirty(at, 4);
}

}  // namespace rhea
