// Transfers, and how the controller's state travels: section "dma", version 1.
#include <algorithm>

#include "hw/dma/i8257.h"

namespace rhea {

namespace {
constexpr uint8_t kCommandDisable = 0x04;
constexpr uint8_t kModeAuto = 0x10, kModeDirection = 0x0c, kModeWrite = 0x04, kModeRead = 0x08;
}  // namespace

bool I8257::ready(unsigned n) const {
  return (state.command & kCommandDisable) == 0 && (state.mask >> n & 1) == 0;
}

uint32_t I8257::bytes_left(unsigned n) const {
  const DmaChannelState& c = state.regs[n];
  const int32_t total = (int32_t{c.base[DmaChannelState::kCount]} + 1) << dshift;
  return c.now[DmaChannelState::kCount] >= total
             ? 0
             : static_cast<uint32_t>(total - c.now[DmaChannelState::kCount]);
}

void I8257::set_request(unsigned n, bool on) {
  const auto bit = static_cast<uint8_t>(0x10u << n);
  status_ = static_cast<uint8_t>(on ? status_ | bit : status_ & ~bit);
}

/// Calls `move(address, offset, bytes)` for stretches of memory; the counter wraps within its page.
template <class Move>
size_t I8257::transfer(unsigned n, size_t bytes, Move move) {
  DmaChannelState& c = state.regs[n];
  if (!ready(n) || memory == nullptr) return 0;
  bytes = std::min<size_t>(bytes, bytes_left(n));
  const uint32_t page_bytes = 0x10000u << dshift;
  const uint64_t page = uint64_t{c.pageh} << 24 | (uint64_t{c.page} << 16 & ~uint64_t{page_bytes - 1});
  const bool down = (c.mode & DmaChannelState::kModeDown) != 0;
  for (size_t done = 0; done < bytes;) {
    const uint32_t moved = static_cast<uint32_t>(c.now[DmaChannelState::kCount]);
    const uint32_t start = static_cast<uint32_t>(c.now[DmaChannelState::kAddress]);
    const uint32_t at = (down ? start - moved : start + moved) & (page_bytes - 1);
    const size_t stretch = down ? 1 : std::min<size_t>(bytes - done, page_bytes - at);
    move(page | at, done, stretch);
    done += stretch;
    c.now[DmaChannelState::kCount] += static_cast<int32_t>(stretch);
  }
  if (bytes_left(n) == 0) {
    status_ |= static_cast<uint8_t>(1u << n);
    if ((c.mode & kModeAuto) != 0)
      rewind(n);
    else
      state.mask |= static_cast<uint8_t>(1u << n);
  }
  return bytes;
}

size_t I8257::read_memory(unsigned n, std::span<uint8_t> out) {
  if ((state.regs[n].mode & kModeDirection) != kModeRead) return 0;
  return transfer(n, out.size(), [&](GuestAddr at, size_t offset, size_t bytes) {
    memory->read(at, out.data() + offset, bytes);  // unassigned memory reads as ones
  });
}

size_t I8257::write_memory(unsigned n, std::span<const uint8_t> data) {
  if ((state.regs[n].mode & kModeDirection) != kModeWrite) return 0;
  return transfer(n, data.size(), [&](GuestAddr at, size_t offset, size_t bytes) {
    memory->write(at, data.data() + offset, bytes);
  });
}

// --- saved state

namespace {
using C = DmaChannelState;
using S = DmaState;
constexpr VMStateField kChannelFields[] = {
    field<&C::now>("now"),     field<&C::base>("base"), field<&C::mode>("mode"), field<&C::page>("page"),
    field<&C::pageh>("pageh"), field<&C::dack>("dack"), field<&C::eop>("eop")};
constexpr VMState kChannel{.name = "dma_regs", .version = 1, .fields = kChannelFields};
constexpr VMStateField kStateFields[] = {field<&S::command>("command"), field<&S::mask>("mask"),
                                         field<&S::flip_flop>("flip_flop"), field<&S::dshift>("dshift"),
                                         struct_field<&S::regs>("regs", kChannel, 1)};
constexpr VMState kState{.name = "dma", .version = 1, .fields = kStateFields};
constexpr VMStateField kFields[] = {struct_field<&I8257::state>("state", kState)};

Result<> check(void* object, int) {
  auto& dma = *static_cast<I8257*>(object);
  DmaState& s = dma.state;
  if (s.dshift != dma.dshift)
    return fail(EINVAL, "width ", s.dshift, " of the transfers is not this controller's ", dma.dshift);
  s.flip_flop &= 1;
  s.mask &= 0x0f;
  for (C& c : s.regs) {
    const int32_t limit = 0x10000 << s.dshift;
    if (c.now[0] < 0 || c.now[0] >= limit || c.now[1] < 0 || c.now[1] > limit)
      return fail(EINVAL, "position ", c.now[0], "+", c.now[1], " is outside a page");
    c.pageh &= 0x7f;
  }
  return {};
}

constexpr VMState kVmState{.name = "dma",
                           .version = 1,
                           .fields = kFields,
                           .pre_save =
                               [](void* o) {
                                 auto& dma = *static_cast<I8257*>(o);
                                 dma.state.dshift = dma.dshift;
                               },
                           .post_load = check};
}  // namespace

const VMState* I8257::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
