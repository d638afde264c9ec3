#include "hw/display/vga_core.h"

namespace rhea {

namespace {

// Bits that exist in each register.
constexpr std::array<uint8_t, 8> kSrMask{0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};
constexpr std::array<uint8_t, 16> kGrMask{0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
constexpr uint8_t kVgaCoreVideoOn = 0x20;                    // of the attribute index
constexpr uint8_t kColourPorts = 0x01;                       // of the miscellaneous output
constexpr uint8_t kRetrace = 0x08, kDisplayDisabled = 0x01;  // of input status 1
constexpr uint8_t kProtect = 0x80, kLineCompare8 = 0x10;     // of CR11, CR07
constexpr uint8_t kDacWrite = 0, kDacRead = 3;

}  // namespace

VgaCore::VgaCore(std::shared_ptr<RamBlock> vram)
    : vram_(std::move(vram)), memory_(vram_->host()), vram_mask_(static_cast<uint32_t>(vram_->size() - 1)) {
  reset();
}

void VgaCore::reset() {
  state = {};
  big_endian = false;
  state.vbe_regs[vbe::kId] = vbe::kId5;
  state.vbe_bank_mask = static_cast<uint32_t>(vram_->size() >> 16) - 1;
}

// --- ports

bool VgaCore::port_is_shown(uint32_t port) const {
  const bool colour = (state.msr & kColourPorts) != 0;
  if (port >= 0x3b0 && port <= 0x3bf) return !colour;
  if (port >= 0x3d0 && port <= 0x3df) return colour;
  return true;
}

uint8_t VgaCore::attribute_read() const {
  const size_t index = state.ar_index & 0x1f;
  return index < state.ar.size() ? state.ar[index] : 0;
}

uint8_t VgaCore::dac_read() {
  const size_t at = size_t{state.dac_read_index} * 3 + state.dac_sub_index;
  const uint8_t value = at < state.palette.size() ? state.palette[at] : 0;
  if (++state.dac_sub_index >= 3) {
    state.dac_sub_index = 0;
    ++state.dac_read_index;
  }
  return value;
}

uint8_t VgaCore::port_read(uint32_t port) {
  if (!port_is_shown(port)) return 0xff;
  switch (port) {
    case 0x3c0:
      return state.ar_flip_flop == 0 ? state.ar_index : 0;
    case 0x3c1:
      return attribute_read();
    case 0x3c2:
      return state.st00;
    case 0x3c4:
      return state.sr_index;
    case 0x3c5:
      return state.sr[state.sr_index];
    case 0x3c6:  // the pixel mask, of which no bit can be cleared here
      return 0xff;
    case 0x3c7:
      return state.dac_state;
    case 0x3c8:
      return state.dac_write_index;
    case 0x3c9:
      return dac_read();
    case 0x3ca:
      return state.fcr;
    case 0x3cc:
      return state.msr;
    case 0x3ce:
      return state.gr_index;
    case 0x3cf:
      return state.gr[state.gr_index];
    case 0x3b4:
    case 0x3d4:
      return state.cr_index;
    case 0x3b5:
    case 0x3d5:
      return state.cr[state.cr_index];
    case 0x3ba:
    case 0x3da:
      // There is no beam: who waits for an edge of it gets one with each read.
      state.ar_flip_flop = 0;
      state.st01 ^= kRetrace | kDisplayDisabled;
      return state.st01;
    default:
      return 0x00;
  }
}

void VgaCore::attribute_write(uint8_t value) {
  if (state.ar_flip_flop == 0) {
    state.ar_index = value & 0x3f;
  } else {
    const size_t index = state.ar_index & 0x1f;
    if (index < 0x10)
      state.ar[index] = value & 0x3f;
    else if (index == 0x10)
      state.ar[index] = value & 0xef;
    else if (index == 0x12)
      state.ar[index] = value & 0x3f;
    else if (index == 0x13 || index == 0x14)
      state.ar[index] = value & 0x0f;
    else if (index == 0x11)
      state.ar[index] = value;
  }
  state.ar_flip_flop ^= 1;
}

void VgaCore::crtc_write(uint8_t value) {
  const uint8_t index = state.cr_index;
  if (index <= 7 && (state.cr[0x11] & kProtect) != 0) {
    if (index == 7)
      state.cr[7] = static_cast<uint8_t>((state.cr[7] & ~kLineCompare8) | (value & kLineCompare8));
    return;
  }
  state.cr[index] = value;
}

void VgaCore::dac_write(uint8_t value) {
  state.dac_cache[state.dac_sub_index] = value;
  if (++state.dac_sub_index < 3) return;
  state.dac_sub_index = 0;
  for (size_t i = 0; i < 3; ++i) state.palette[size_t{state.dac_write_index} * 3 + i] = state.dac_cache[i];
  ++state.dac_write_index;
}

void VgaCore::sequencer_write(uint8_t value) {
  state.sr[state.sr_index] = value & kSrMask[state.sr_index];
  // A guest that sets up the VGA by itself while VBE holds it keeps what VBE needs.
  if (vbe_on()) vbe_set_vga_registers();
}

void VgaCore::port_write(uint32_t port, uint8_t value) {
  if (!port_is_shown(port)) return;
  switch (port) {
    case 0x3c0:
    case 0x3c1:
      attribute_write(value);
      break;
    case 0x3c2:
      state.msr = value & static_cast<uint8_t>(~0x10);
      break;
    case 0x3c4:
      state.sr_index = value & 7;
      break;
    case 0x3c5:
      sequencer_write(value);
      break;
    case 0x3c7:
      state.dac_read_index = value;
      state.dac_sub_index = 0;
      state.dac_state = kDacRead;
      break;
    case 0x3c8:
      state.dac_write_index = value;
      state.dac_sub_index = 0;
      state.dac_state = kDacWrite;
      break;
    case 0x3c9:
      dac_write(value);
      break;
    case 0x3ce:
      state.gr_index = value & 0x0f;
      break;
    case 0x3cf:
      state.gr[state.gr_index] = value & kGrMask[state.gr_index];
      if (vbe_on()) vbe_set_vga_registers();
      break;
    case 0x3b4:
    case 0x3d4:
      state.cr_index = value;
      break;
    case 0x3b5:
    case 0x3d5:
      crtc_write(value);
      break;
    case 0x3ba:
    case 0x3da:
      state.fcr = value & 0x10;
      break;
    default:
      break;
  }
}

uint32_t VgaCore::dac_colour(uint8_t index) const {
  const uint8_t* c = &state.palette[size_t{index} * 3];
  if ((state.vbe_regs[vbe::kEnable] & vbe::k8bitDac) != 0)
    return static_cast<uint32_t>(c[0] << 16 | c[1] << 8 | c[2]);
  // Six bits to eight: the two new ones are the lowest.
  auto wide = [](uint8_t v) { return static_cast<uint32_t>((v & 0x3f) << 2 | ((v & 1) != 0 ? 3 : 0)); };
  return wide(c[0]) << 16 | wide(c[1]) << 8 | wide(c[2]);
}

// --- saved state

namespace {

using S = VgaState;
/// A field of the VgaState within a VgaCore.
template <auto Member>
constexpr VMStateField part(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                detail::vm_save_value(static_cast<const VgaCore*>(o)->state.*Member, out);
              },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(static_cast<VgaCore*>(o)->state.*Member, in);
            return {};
          }};
}
constexpr VMStateField kVgaCoreFields[] = {part<&S::latch>("latch"),
                                           part<&S::sr_index>("sr_index"),
                                           part<&S::sr>("sr"),
                                           part<&S::gr_index>("gr_index"),
                                           part<&S::gr>("gr"),
                                           part<&S::ar_index>("ar_index"),
                                           part<&S::ar>("ar"),
                                           part<&S::ar_flip_flop>("ar_flip_flop"),
                                           part<&S::cr_index>("cr_index"),
                                           part<&S::cr>("cr"),
                                           part<&S::msr>("msr"),
                                           part<&S::fcr>("fcr"),
                                           part<&S::st00>("st00"),
                                           part<&S::st01>("st01"),
                                           part<&S::dac_state>("dac_state"),
                                           part<&S::dac_sub_index>("dac_sub_index"),
                                           part<&S::dac_read_index>("dac_read_index"),
                                           part<&S::dac_write_index>("dac_write_index"),
                                           part<&S::dac_cache>("dac_cache"),
                                           part<&S::palette>("palette"),
                                           part<&S::bank_offset>("bank_offset"),
                                           part<&S::is_vbe>("is_vbe_vmstate"),
                                           part<&S::vbe_index>("vbe_index"),
                                           part<&S::vbe_regs>("vbe_regs"),
                                           part<&S::vbe_start_addr>("vbe_start_addr"),
                                           part<&S::vbe_line_offset>("vbe_line_offset"),
                                           part<&S::vbe_bank_mask>("vbe_bank_mask")};

Result<> check_state(void* object, int) {
  auto& core = *static_cast<VgaCore*>(object);
  S& s = core.state;
  if (s.is_vbe != 1) return fail(EINVAL, "a VGA without VBE is not possible");
  if (s.sr_index > 7 || s.gr_index > 15 || s.dac_sub_index > 2)
    return fail(EINVAL, "register index out of range");
  if (s.bank_offset < 0 || static_cast<uint32_t>(s.bank_offset) > core.vram_mask())
    return fail(EINVAL, "bank at ", s.bank_offset, " is outside video memory");
  for (size_t i = 0; i < s.sr.size(); ++i) s.sr[i] &= kSrMask[i];
  for (size_t i = 0; i < s.gr.size(); ++i) s.gr[i] &= kGrMask[i];
  s.ar_flip_flop &= 1;
  s.vbe_bank_mask = (core.vram_mask() >> 16);
  if (core.vbe_on()) core.vbe_write(vbe::kXoffset, s.vbe_regs[vbe::kXoffset]);  // makes the mode fit
  return {};
}

}  // namespace

static constexpr VMStateField kEndianFields[] = {field<&VgaCore::big_endian>("big_endian_fb")};
static constexpr VMState kEndian{
    .name = "vga.endian", .version = 1, .fields = kEndianFields, .needed = [](const void* o) {
      return static_cast<const VgaCore*>(o)->big_endian;
    }};
static constexpr const VMState* kSubsections[] = {&kEndian};

constexpr VMState kVgaStateVmState{.name = "vga",
                                   .version = 2,
                                   .minimum_version = 2,
                                   .fields = kVgaCoreFields,
                                   .subsections = kSubsections,
                                   .pre_load = [](void* o) -> Result<> {
                                     static_cast<VgaCore*>(o)->big_endian = false;
                                     return {};
                                   },
                                   .post_load = check_state};

}  // namespace rhea
