// The Bochs VBE extension: linear modes, set through an index and a data register.
// Spec: "VBE Display API" 0.9 of the Bochs project.
#include <algorithm>
#include <cstring>

#include "hw/display/vga_core.h"

namespace rhea {

uint16_t VgaCore::vbe_read(uint16_t index) const {
  if (index == vbe::kMemory64k) return static_cast<uint16_t>(vram_->size() >> 16);
  if (index >= state.vbe_regs.size()) return 0;
  if ((state.vbe_regs[vbe::kEnable] & vbe::kGetCaps) != 0) {
    if (index == vbe::kXres) return vbe::kMaxXres;
    if (index == vbe::kYres) return vbe::kMaxYres;
    if (index == vbe::kBpp) return vbe::kMaxBpp;
  }
  return state.vbe_regs[index];
}

void VgaCore::vbe_write(uint16_t index, uint16_t value) {
  if (index >= state.vbe_regs.size()) return;
  switch (index) {
    case vbe::kId:
      if (value >= vbe::kId0 && value <= vbe::kId5) state.vbe_regs[vbe::kId] = value;
      break;
    case vbe::kBank: {
      uint32_t banks = state.vbe_bank_mask;
      if (state.vbe_regs[vbe::kBpp] == 4) banks >>= 2;  // four planes share a bank
      state.vbe_regs[vbe::kBank] = static_cast<uint16_t>(value & banks);
      state.bank_offset = state.vbe_regs[vbe::kBank] << 16;
      break;
    }
    case vbe::kEnable:
      vbe_enable(value);
      break;
    case vbe::kVirtHeight:  // follows from the memory there is
      break;
    default:
      state.vbe_regs[index] = value;
      vbe_fit();
      if (vbe_on()) vbe_set_vga_registers();
      break;
  }
}

void VgaCore::vbe_enable(uint16_t value) {
  if ((value & vbe::kEnabled) != 0 && !vbe_on()) {
    state.vbe_regs[vbe::kVirtWidth] = 0;
    state.vbe_regs[vbe::kXoffset] = 0;
    state.vbe_regs[vbe::kYoffset] = 0;
    state.vbe_regs[vbe::kEnable] |= vbe::kEnabled;
    vbe_fit();
    vbe_set_vga_registers();
    if ((value & vbe::kNoClear) == 0) {
      const uint64_t bytes =
          std::min<uint64_t>(uint64_t{state.vbe_regs[vbe::kYres]} * state.vbe_line_offset, vram_->size());
      std::memset(memory_, 0, bytes);
      vram_->mark_dirty(0, bytes);
    }
  } else if ((value & vbe::kEnabled) == 0) {
    state.bank_offset = 0;
  }
  state.vbe_regs[vbe::kEnable] = value;
}

/// Makes the registers a mode that fits the memory.
void VgaCore::vbe_fit() {
  auto& r = state.vbe_regs;
  const uint64_t size = vram_->size();
  constexpr uint16_t kDepths[] = {4, 8, 15, 16, 24, 32};
  if (std::ranges::find(kDepths, r[vbe::kBpp]) == std::end(kDepths)) r[vbe::kBpp] = 8;
  const uint32_t bits = r[vbe::kBpp] == 15 ? 16 : r[vbe::kBpp];
  r[vbe::kXres] = std::clamp<uint16_t>(r[vbe::kXres] & ~7, 8, vbe::kMaxXres);
  const uint32_t widest = static_cast<uint32_t>(std::min<uint64_t>(size * 8 / bits, UINT16_MAX)) & ~7u;
  const uint32_t width = std::max<uint32_t>(r[vbe::kVirtWidth] & ~7u, r[vbe::kXres]);
  r[vbe::kVirtWidth] = static_cast<uint16_t>(std::min(width, widest));
  const uint32_t line = r[vbe::kVirtWidth] * bits / 8;
  const auto lines = static_cast<uint32_t>(std::min<uint64_t>(size / line, UINT16_MAX));
  r[vbe::kVirtHeight] = static_cast<uint16_t>(lines);
  r[vbe::kYres] =
      static_cast<uint16_t>(std::clamp<uint32_t>(r[vbe::kYres], 1, std::min<uint32_t>(lines, vbe::kMaxYres)));
  // An offset that would lead out of memory does not count.
  const uint64_t shown = uint64_t{r[vbe::kYres]} * line;
  auto start = [&] { return uint64_t{r[vbe::kYoffset]} * line + r[vbe::kXoffset] * uint64_t{bits} / 8; };
  if (start() + shown > size) r[vbe::kYoffset] = 0;
  if (start() + shown > size) r[vbe::kXoffset] = 0;
  state.vbe_line_offset = line;
  state.vbe_start_addr = static_cast<uint32_t>(start() >> 2);
}

/// What the VGA's own registers say while a VBE mode is on: a graphics mode of this size, chained where it is
/// not planar.
void VgaCore::vbe_set_vga_registers() {
  const auto& r = state.vbe_regs;
  auto set = [](uint8_t& reg, unsigned mask, unsigned bits) {
    reg = static_cast<uint8_t>((reg & ~mask) | bits);
  };
  set(state.gr[6], 0x0c, 0x05);
  state.cr[0x17] |= 3;
  state.cr[0x13] = static_cast<uint8_t>(state.vbe_line_offset >> 3);
  state.cr[0x01] = static_cast<uint8_t>((r[vbe::kXres] >> 3) - 1);
  const unsigned last = r[vbe::kYres] - 1u;
  state.cr[0x12] = static_cast<uint8_t>(last);
  set(state.cr[0x07], 0x42, (last >> 7 & 0x02) | (last >> 3 & 0x40));
  // No split screen, no doubled lines, no start offset.
  state.cr[0x18] = 0xff;
  state.cr[0x07] |= 0x10;
  set(state.cr[0x09], 0x9f, 0x40);
  unsigned shift = 0;
  if (r[vbe::kBpp] == 4) {
    set(state.sr[1], 0x08, 0);
  } else {
    shift = 2;
    state.sr[4] |= 0x08;
    state.sr[2] |= 0x0f;
  }
  set(state.gr[5], 0x60, shift << 5);
}

}  // namespace rhea
