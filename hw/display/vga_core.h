// The VGA: registers, planar memory, the Bochs VBE extension ("dispi").
// Specs: IBM VGA XGA Technical Reference (May 1992), part "VGA function"; "VBE Display API" 0.9 of the Bochs
// project.
//
// Video memory keeps byte `a` of plane `p` at 4a + p; the linear modes and the chained ones use it byte by
// byte.
#pragma once

#include <array>
#include <memory>

#include "memory/memory.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

namespace vbe {
inline constexpr uint16_t kId = 0, kXres = 1, kYres = 2, kBpp = 3, kEnable = 4, kBank = 5, kVirtWidth = 6,
                          kVirtHeight = 7, kXoffset = 8, kYoffset = 9, kMemory64k = 10;
inline constexpr uint16_t kEnabled = 0x01, kGetCaps = 0x02, k8bitDac = 0x20, kLfb = 0x40, kNoClear = 0x80;
inline constexpr uint16_t kId0 = 0xb0c0, kId5 = 0xb0c5;
inline constexpr uint16_t kMaxXres = 16000, kMaxYres = 12000, kMaxBpp = 32;
}  // namespace vbe

/// All that the guest can read back or see; in the order it travels.
struct VgaState {
  uint32_t latch = 0;  ///< what the last read left, plane 0 in the low byte
  uint8_t sr_index = 0;
  std::array<uint8_t, 8> sr{};  ///< sequencer
  uint8_t gr_index = 0;
  std::array<uint8_t, 16> gr{};  ///< graphics controller
  uint8_t ar_index = 0;
  std::array<uint8_t, 21> ar{};  ///< attribute controller
  int32_t ar_flip_flop = 0;      ///< 1: port 0x3c0 takes data next
  uint8_t cr_index = 0;
  std::array<uint8_t, 256> cr{};  ///< CRT controller
  uint8_t msr = 0;                ///< miscellaneous output
  uint8_t fcr = 0;                ///< feature control
  uint8_t st00 = 0, st01 = 0;     ///< input status
  uint8_t dac_state = 0;          ///< 0 after a write address, 3 after a read address
  uint8_t dac_sub_index = 0, dac_read_index = 0, dac_write_index = 0;
  std::array<uint8_t, 3> dac_cache{};
  std::array<uint8_t, 768> palette{};  ///< red, green, blue
  int32_t bank_offset = 0;             ///< bytes
  uint8_t is_vbe = 1;
  uint16_t vbe_index = 0;
  std::array<uint16_t, 10> vbe_regs{};
  uint32_t vbe_start_addr = 0;   ///< in units of 4 bytes
  uint32_t vbe_line_offset = 0;  ///< bytes
  uint32_t vbe_bank_mask = 0;
  friend bool operator==(const VgaState&, const VgaState&) = default;
};
extern const VMState kVgaStateVmState;  ///< "vga", of a VgaCore

/// Machine lock. Knows no bus: a device shows its ports and memory.
class VgaCore {
 public:
  /// `vram`: a power of two, at least 256 KiB.
  explicit VgaCore(std::shared_ptr<RamBlock> vram);

  void reset();
  /// A port, 0x3b0 to 0x3df; those that the VGA does not have at the moment read as ones.
  uint8_t port_read(uint32_t port);
  void port_write(uint32_t port, uint8_t value);
  /// The window at 0xa0000; `offset` 0 to 0x1ffff.
  uint8_t window_read(uint32_t offset);
  void window_write(uint32_t offset, uint8_t value);
  void vbe_select(uint16_t index) { state.vbe_index = index; }
  uint16_t vbe_selected() const { return state.vbe_index; }
  uint16_t vbe_read(uint16_t index) const;
  void vbe_write(uint16_t index, uint16_t value);

  bool vbe_on() const { return (state.vbe_regs[vbe::kEnable] & vbe::kEnabled) != 0; }
  RamBlock& vram() const { return *vram_; }
  const std::shared_ptr<RamBlock>& shared_vram() const { return vram_; }
  uint32_t vram_mask() const { return vram_mask_; }
  /// Colour `index` of the DAC, 0x00RRGGBB.
  uint32_t dac_colour(uint8_t index) const;
  /// Where the window at 0xa0000 starts in video memory and how much of it is shown: what offset 0 of the
  /// window gives; false if `offset` is outside the map that the guest has chosen.
  bool window_address(uint32_t offset, uint32_t& address) const;

  VgaState state;
  bool big_endian = false;  ///< pixels of 15 bits and more; a guest driver's wish

 private:
  void sequencer_write(uint8_t value);
  void crtc_write(uint8_t value);
  void attribute_write(uint8_t value);
  void dac_write(uint8_t value);
  uint8_t dac_read();
  uint8_t attribute_read() const;
  bool port_is_shown(uint32_t port) const;
  void planar_write(uint32_t address, uint8_t value);
  void store_plane_byte(uint32_t at, uint8_t value);
  void vbe_enable(uint16_t value);
  void vbe_fit();
  void vbe_set_vga_registers();

  std::shared_ptr<RamBlock> vram_;
  uint8_t* memory_;
  uint32_t vram_mask_;
};

}  // namespace rhea
