// Split rings: VIRTIO 1.2, section 2.7.
#include "hw/virtio/ring.h"

namespace rhea {

namespace {

constexpr uint16_t kNoInterrupt = 1;  ///< available ring's flags
constexpr uint16_t kNoNotify = 1;     ///< used ring's flags

class SplitRing final : public VirtRing {
 public:
  SplitRing(AddressSpace& space, RingLayout layout, RingPosition position)
      : VirtRing(space, layout, position) {}

  void unpop(const RingElement&) override {
    --position_.next;
    --position_.in_use;
  }
  Result<> push(const RingElement& element, uint32_t written) override;
  bool has_work() override { return !refresh() || available_index() != position_.next; }
  Result<> set_notifications(bool on) override;
  bool take_interrupt() override;

 private:
  // Both rings: flags, index, entries, and behind them the other side's event index.
  std::array<uint64_t, 3> area_bytes() const override {
    const uint64_t n = layout_.size, event = layout_.event_index ? 2 : 0;
    return {16 * n, 4 + 2 * n + event, 4 + 8 * n + event};
  }
  uint16_t available_index() const { return load<uint16_t>(kDriver, 2); }
  uint16_t mask() const { return static_cast<uint16_t>(layout_.size - 1); }
  Result<bool> take(RingElement& element) override;
  Result<> walk(RingElement& element, const uint8_t* table, uint32_t count, uint32_t head);

  Descriptor descriptor(uint32_t i) const { return copy_descriptor(areas_[kDescriptors].host + 16 * i); }
};

Result<bool> SplitRing::take(RingElement& element) {
  const uint16_t available = available_index();
  const auto waiting = static_cast<uint16_t>(available - position_.next);
  if (waiting == 0) return false;
  if (waiting > layout_.size || position_.in_use >= layout_.size)
    return fail(EINVAL, "virtio: guest moved available index from ", position_.next, " to ", available);
  const auto head = load<uint16_t>(kDriver, 4 + 2u * (position_.next & mask()));
  if (head >= layout_.size)
    return fail(EINVAL, "virtio: guest says index ", head, " is available, of ", layout_.size);
  element.id = head;
  const Descriptor first = descriptor(head);
  if ((first.a & kIndirect) != 0) {
    if ((first.a & kNext) != 0) return fail(EINVAL, "virtio: an indirect descriptor has a next one");
    const GuestPlace table = TRY(find_table(first));
    TRY(walk(element, table.host, first.len / 16, 0));
  } else {
    TRY(walk(element, areas_[kDescriptors].host, layout_.size, head));
  }
  ++position_.next;
  ++position_.in_use;
  if (layout_.event_index && notifications_) store<uint16_t>(kDevice, 4 + 8u * layout_.size, position_.next);
  return true;
}

Result<> SplitRing::walk(RingElement& element, const uint8_t* table, uint32_t count, uint32_t head) {
  const bool indirect = table != areas_[kDescriptors].host;
  uint32_t at = head;
  for (uint32_t seen = 0; seen < count; ++seen) {
    const Descriptor d = copy_descriptor(table + 16 * uint64_t{at});
    if ((d.a & kIndirect) != 0 && (indirect || seen != 0))
      return fail(EINVAL, "virtio: an indirect table where there may be none");
    TRY(add_piece(element, d.addr, d.len, (d.a & kWrite) != 0));
    if ((d.a & kNext) == 0) return {};
    if (d.b >= count) return fail(EINVAL, "virtio: next descriptor is ", d.b, ", of ", count);
    at = d.b;
  }
  return fail(EINVAL, "virtio: looped descriptor");
}

Result<> SplitRing::push(const RingElement& element, uint32_t written) {
  element.mark_written(written);
  TRY(refresh());
  if (position_.in_use > 0) --position_.in_use;
  const uint64_t at = 4 + 8u * (position_.used & mask());
  store<uint32_t>(kDevice, at, element.id);
  store<uint32_t>(kDevice, at + 4, written);
  ++position_.used;
  store<uint16_t>(kDevice, 2, position_.used);
  return {};
}

Result<> SplitRing::set_notifications(bool on) {
  TRY(refresh());
  notifications_ = on;
  if (!layout_.event_index)
    store<uint16_t>(kDevice, 0, on ? 0 : kNoNotify);
  else if (on)
    store<uint16_t>(kDevice, 4 + 8u * layout_.size, available_index());
  __atomic_thread_fence(__ATOMIC_SEQ_CST);  // the driver sees it before we look for work
  return {};
}

bool SplitRing::take_interrupt() {
  if (!refresh()) return false;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);  // what was pushed before what the driver asks for
  if (layout_.notify_on_empty && position_.in_use == 0 && available_index() == position_.next) return true;
  if (!layout_.event_index) return (load<uint16_t>(kDriver, 0) & kNoInterrupt) == 0;
  const uint16_t before = position_.signalled;
  const bool valid = position_.signalled_valid;
  position_.signalled = position_.used;
  position_.signalled_valid = true;
  const auto event = load<uint16_t>(kDriver, 4 + 2u * layout_.size);
  return !valid || ring_event_passed(event, position_.used, before);
}

}  // namespace

std::unique_ptr<VirtRing> VirtRing::create_split(AddressSpace& space, RingLayout layout,
                                                 RingPosition position) {
  return std::make_unique<SplitRing>(space, layout, position);
}

}  // namespace rhea
