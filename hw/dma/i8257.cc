#include "hw/dma/i8257.h"

namespace rhea {

namespace {

constexpr uint8_t kAllMasked = 0x0f;
constexpr uint8_t kPagePort[] = {7, 3, 1, 2};  // of channels 0..3, from page-base

constexpr PropertyInfo kProperties[] = {prop<&I8257::base>("base"), prop<&I8257::page_base>("page-base"),
                                        prop<&I8257::pageh_base>("pageh-base"),
                                        prop<&I8257::dshift>("dshift")};

}  // namespace

constexpr TypeInfo I8257::kType{
    .name = "i8257",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<I8257>(); },
    .properties = kProperties,
    .description = "DMA controller"};

I8257::I8257() {
  for (unsigned n = 0; n < kChannels; ++n) {
    page_[n].show(state.regs[n].page, 0xff);
    pageh_[n].show(state.regs[n].pageh, 0x7f);
  }
}

void I8257::set_up_as_second() {
  base = 0xc0;
  page_base = 0x88;
  dshift = 1;
}

Result<> I8257::do_realize() {
  if (dshift < 0 || dshift > 1) return fail(EINVAL, "i8257: dshift must be 0 or 1, not ", dshift);
  if (base < 0 || base > 0xffe0 || page_base < 0 || page_base > 0xfff0 || pageh_base < -1 ||
      pageh_base > 0xfff0)
    return fail(EINVAL, "i8257: ports outside the port space");
  const auto eight = static_cast<uint16_t>(8 << dshift);
  add_ports(static_cast<uint16_t>(base), eight, channel_, "dma-chan", {.impl_max = 1});
  add_ports(static_cast<uint16_t>(base + eight), eight, control_, "dma-cont", {.impl_max = 1});
  for (unsigned n = 0; n < kChannels; ++n) {
    add_ports(static_cast<uint16_t>(page_base + kPagePort[n]), 1, page_[n], "dma-page", {.impl_max = 1});
    if (pageh_base >= 0)
      add_ports(static_cast<uint16_t>(pageh_base + kPagePort[n]), 1, pageh_[n], "dma-pageh", {.impl_max = 1});
  }
  return {};
}

void I8257::reset() {
  state.mask = kAllMasked;
  state.command = 0;
  state.flip_flop = 0;
  status_ = 0;
}

// --- registers

uint64_t I8257::channel_read(uint64_t offset, unsigned) {
  const unsigned reg = static_cast<unsigned>(offset >> dshift) & 7;
  const DmaChannelState& c = state.regs[reg / 2];
  const bool high = next_flip();
  int32_t value;
  if (reg % 2 == DmaChannelState::kCount)
    value = (int32_t{c.base[DmaChannelState::kCount]} << dshift) - c.now[DmaChannelState::kCount];
  else
    value = c.now[DmaChannelState::kAddress] + ((c.mode & DmaChannelState::kModeDown) != 0
                                                    ? -c.now[DmaChannelState::kCount]
                                                    : c.now[DmaChannelState::kCount]);
  return static_cast<uint32_t>(value >> dshift) >> (high ? 8 : 0) & 0xff;
}

void I8257::channel_write(uint64_t offset, uint64_t value, unsigned) {
  const unsigned reg = static_cast<unsigned>(offset >> dshift) & 7;
  uint16_t& base_value = state.regs[reg / 2].base[reg % 2];
  if (next_flip())
    base_value = static_cast<uint16_t>((base_value & 0x00ff) | (value & 0xff) << 8);
  else
    base_value = static_cast<uint16_t>((base_value & 0xff00) | (value & 0xff));
  rewind(reg / 2);  // 8237A: base and current registers are written together
}

void I8257::rewind(unsigned n) {
  DmaChannelState& c = state.regs[n];
  c.now[DmaChannelState::kAddress] = int32_t{c.base[DmaChannelState::kAddress]} << dshift;
  c.now[DmaChannelState::kCount] = 0;
}

uint64_t I8257::control_read(uint64_t offset, unsigned) {
  switch (static_cast<unsigned>(offset >> dshift) & 7) {
    case 0: {
      const uint8_t status = status_;
      status_ &= 0xf0;
      return status;
    }
    case 7:
      return state.mask;
    default:
      return 0;
  }
}

void I8257::control_write(uint64_t offset, uint64_t value, unsigned) {
  const auto byte = static_cast<uint8_t>(value);
  const unsigned n = byte & 3;
  const auto bit = static_cast<uint8_t>(1u << n);
  const uint8_t old_mask = state.mask;
  switch (static_cast<unsigned>(offset >> dshift) & 7) {
    case 0:
      state.command = byte;
      break;
    case 1:
      set_request(n, (byte & 0x04) != 0);
      break;
    case 2:
      state.mask = static_cast<uint8_t>((byte & 0x04) != 0 ? state.mask | bit : state.mask & ~bit);
      break;
    case 3:
      state.regs[n].mode = byte;
      break;
    case 4:
      state.flip_flop = 0;
      break;
    case 5:
      reset();
      return;  // master clear
    case 6:
      state.mask = 0;
      break;
    default:
      state.mask = byte & kAllMasked;
      break;
  }
  unmasked(old_mask);
}

void I8257::unmasked(uint8_t old_mask) {
  for (unsigned n = 0; n < kChannels; ++n)
    if ((old_mask >> n & 1) != 0 && ready(n) && on_ready[n]) on_ready[n]();
}

}  // namespace rhea
