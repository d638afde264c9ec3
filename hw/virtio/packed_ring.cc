// Packed rings: VIRTIO 1.2, section 2.8.
#include "hw/virtio/ring.h"

namespace rhea {

namespace {

constexpr uint16_t kAvailable = 1 << 7, kUsed = 1 << 15;
enum EventFlags : uint16_t { kEventsOn = 0, kEventsOff = 1, kAtDescriptor = 2 };

class PackedRing final : public VirtRing {
 public:
  PackedRing(AddressSpace& space, RingLayout layout, RingPosition position)
      : VirtRing(space, layout, position) {}

  void unpop(const RingElement& element) override;
  Result<> push(const RingElement& element, uint32_t written) override;
  bool has_work() override { return !refresh() || is_available(flags_of(position_.next)); }
  Result<> set_notifications(bool on) override;
  bool take_interrupt() override;

 private:
  std::array<uint64_t, 3> area_bytes() const override { return {16ull * layout_.size, 4, 4}; }
  uint16_t flags_of(uint32_t slot) const { return load<uint16_t>(kDescriptors, 16 * slot + 14); }
  bool is_available(uint16_t flags) const {
    return ((flags & kAvailable) != 0) == position_.next_wrap &&
           ((flags & kUsed) != 0) != position_.next_wrap;
  }
  Descriptor descriptor(uint32_t slot) const {
    return copy_descriptor(areas_[kDescriptors].host + 16 * uint64_t{slot});
  }
  Result<bool> take(RingElement& element) override;
  Result<> take_table(RingElement& element, const Descriptor& d);
  void advance(uint16_t& slot, bool& wrap, uint16_t by) const {
    const uint32_t to = uint32_t{slot} + by;
    slot = static_cast<uint16_t>(to >= layout_.size ? to - layout_.size : to);
    if (to >= layout_.size) wrap = !wrap;
  }
  static uint16_t wrapped(uint16_t slot, bool wrap) {
    return static_cast<uint16_t>(slot | (wrap ? 0x8000 : 0));
  }
};

Result<bool> PackedRing::take(RingElement& element) {
  // A chain's first descriptor is made available last (2.8.6), so that the others are there.
  if (!is_available(flags_of(position_.next))) return false;
  uint32_t slot = position_.next;
  for (uint16_t count = 1;; ++count) {
    if (count + position_.in_use > layout_.size) return fail(EINVAL, "virtio: looped descriptor");
    const Descriptor d = descriptor(slot);
    if ((d.b & kIndirect) == 0) {
      TRY(add_piece(element, d.addr, d.len, (d.b & kWrite) != 0));
    } else {
      if (count != 1 || (d.b & kNext) != 0) return fail(EINVAL, "virtio: an indirect descriptor in a chain");
      TRY(take_table(element, d));
    }
    slot = slot + 1 == layout_.size ? 0 : slot + 1;
    if ((d.b & kNext) != 0) continue;
    if (d.a >= layout_.size) return fail(EINVAL, "virtio: buffer id ", d.a, " of ", layout_.size);
    element.id = d.a;
    element.slots = count;
    break;
  }
  position_.in_use += element.slots;
  advance(position_.next, position_.next_wrap, element.slots);
  return true;
}

/// 2.8.7: all of its descriptors, in order; only whether the device writes counts of their flags.
Result<> PackedRing::take_table(RingElement& element, const Descriptor& d) {
  const GuestPlace table = TRY(find_table(d));
  for (uint64_t at = 0; at < d.len; at += sizeof(Descriptor)) {
    const Descriptor entry = copy_descriptor(table.host + at);
    TRY(add_piece(element, entry.addr, entry.len, (entry.b & kWrite) != 0));
  }
  return {};
}

void PackedRing::unpop(const RingElement& element) {
  position_.in_use -= element.slots;
  const int to = position_.next - element.slots;
  if (to < 0) position_.next_wrap = !position_.next_wrap;
  position_.next = static_cast<uint16_t>(to < 0 ? to + layout_.size : to);
}

Result<> PackedRing::push(const RingElement& element, uint32_t written) {
  element.mark_written(written);
  TRY(refresh());
  position_.in_use -= std::min<uint32_t>(position_.in_use, element.slots);
  const uint64_t at = 16ull * position_.used;
  store<uint32_t>(kDescriptors, at + 8, written);
  store<uint16_t>(kDescriptors, at + 12, element.id);
  const auto flags =
      static_cast<uint16_t>((position_.used_wrap ? kAvailable | kUsed : 0) | (written != 0 ? kWrite : 0));
  store<uint16_t>(kDescriptors, at + 14, flags);
  advance(position_.used, position_.used_wrap, element.slots);
  return {};
}

Result<> PackedRing::set_notifications(bool on) {
  TRY(refresh());
  notifications_ = on;
  if (on && layout_.event_index) {
    store<uint16_t>(kDevice, 0, wrapped(position_.next, position_.next_wrap));
    store<uint16_t>(kDevice, 2, kAtDescriptor);
  } else {
    store<uint16_t>(kDevice, 2, on ? kEventsOn : kEventsOff);
  }
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return {};
}

bool PackedRing::take_interrupt() {
  if (!refresh()) return false;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  const uint16_t before = position_.signalled;
  const bool valid = position_.signalled_valid;
  position_.signalled = position_.used;
  position_.signalled_valid = true;
  const auto flags = load<uint16_t>(kDriver, 2);
  if (flags == kEventsOff) return false;
  if (flags != kAtDescriptor || !layout_.event_index) return true;
  // The slot asked for lies ahead of `used` in this round, or behind it in the last.
  const auto asked = load<uint16_t>(kDriver, 0);
  auto event = static_cast<uint16_t>(asked & 0x7fff);
  if (((asked & 0x8000) != 0) != position_.used_wrap) event = static_cast<uint16_t>(event - layout_.size);
  const auto was = static_cast<uint16_t>(before > position_.used ? before - layout_.size : before);
  return !valid || ring_event_passed(event, position_.used, was);
}

}  // namespace

std::unique_ptr<VirtRing> VirtRing::create_packed(AddressSpace& space, RingLayout layout,
                                                  RingPosition position) {
  return std::make_unique<PackedRing>(space, layout, position);
}

}  // namespace rhea
