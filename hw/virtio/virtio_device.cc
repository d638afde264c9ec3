#include "hw/virtio/virtio_device.h"

#include <cstring>

#include "util/log.h"

namespace rhea {

namespace {
constexpr PropertyInfo kVirtioCommonProperties[] = {
    prop<&VirtioDevice::indirect_desc>("indirect_desc", "on/off"),
    prop<&VirtioDevice::event_idx>("event_idx", "on/off"),
    prop<&VirtioDevice::notify_on_empty>("notify_on_empty", "on/off"),
    prop<&VirtioDevice::any_layout>("any_layout", "on/off"),
    prop<&VirtioDevice::iommu_platform>("iommu_platform", "on/off"),
    prop<&VirtioDevice::packed>("packed", "on/off"),
    prop<&VirtioDevice::queue_reset>("queue_reset", "on/off"),
    prop<&VirtioDevice::use_started>("use-started"),
    prop<&VirtioDevice::use_disabled_flag>("use-disabled-flag"),
    prop<&VirtioDevice::no_legacy_check>("x-disable-legacy-check"),
};
}  // namespace

constexpr TypeInfo VirtioDevice::kType{
    .name = "virtio-device", .parent = &Device::kType, .properties = kVirtioCommonProperties};
constexpr TypeInfo VirtioBus::kType{.name = "virtio-bus", .parent = &Bus::kType, .made_by_owner = true};

std::span<const PropertyInfo> VirtioDevice::common_properties() {
  return kVirtioCommonProperties;
}

uint64_t VirtioDevice::ring_features() const {
  uint64_t f = 0;
  if (indirect_desc) f |= virtio::kIndirectDesc;
  if (event_idx) f |= virtio::kEventIdx;
  if (notify_on_empty) f |= virtio::kNotifyOnEmpty;
  if (any_layout) f |= virtio::kAnyLayout;
  if (packed) f |= virtio::kRingPacked;
  if (queue_reset) f |= virtio::kRingReset;
  return f;
}

Result<> VirtioDevice::do_realize() {
  if (iommu_platform) return fail(ENOTSUP, "iommu_platform=on needs an IOMMU, which this machine has not");
  return {};
}

void VirtioDevice::make_queues(size_t count, uint16_t size) {
  queues_ = std::vector<VirtioQueue>(count);
  for (VirtioQueue& queue : queues_) queue.max_size = queue.size = size;
}

void VirtioDevice::do_unrealize() {
  if (std::exchange(serving_, false)) {
    transport_->serving_changed(false);
    kind_serving_changed(false);
  }
  for (size_t n = 0; n < queues_.size(); ++n) {
    queues_[n].enabled = false;
    at_home(n, [&] { queues_[n].ring.reset(); });
  }
  status_ = 0;
  queues_.clear();
}

void VirtioDevice::set_features(uint64_t features) {
  if ((status_ & virtio::kFeaturesOk) != 0) return;
  features_ = features & offered_features();
}

/// A reset that is under way reads as what was before (2.4.2: the driver waits for 0).
uint8_t VirtioDevice::status() const {
  return status_;
}

void VirtioDevice::set_status(uint8_t status) {
  if (status == 0) {
    if (status_ == 0 && features_ == 0 && is_quiet()) return clear();
    resetting_ = true;
    update_serving();
    for (size_t n = 0; n < queues_.size(); ++n)
      if (queues_[n].ring != nullptr) at_home(n, [&] { queues_[n].ring.reset(); });
    forget_requests();
    if (is_quiet()) clear();
    return;
  }
  if (resetting_) return;
  status_ = static_cast<uint8_t>(status | (status_ & virtio::kNeedsReset));
  if ((status & virtio::kDriverOk) != 0) driver_ready();
  update_serving();
  if ((status & virtio::kDriverOk) != 0) serve_all();
}

void VirtioDevice::became_quiet() {
  if (resetting_ && is_quiet()) clear();
}

void VirtioDevice::clear() {
  resetting_ = false;
  status_ = 0;
  features_ = 0;
  update_serving();
  for (VirtioQueue& queue : queues_) reset_queue(queue);
  kind_reset();
}

void VirtioDevice::reset() {
  set_status(0);
}

void VirtioDevice::reset_queue(VirtioQueue& queue) {
  const uint16_t size = queue.max_size;
  const bool was_enabled = std::exchange(queue.enabled, false);
  const size_t n = queue_number(queue);
  if (serving_ && was_enabled) transport_->queue_changed(n);
  at_home(n, [&] {
    queue = VirtioQueue{};
    queue.max_size = queue.size = size;
  });
}

void VirtioDevice::enable_queue(VirtioQueue& queue) {
  if (resetting_ || queue.size == 0) return;
  queue.enabled = true;
  start_queue(queue, {});
  if (serving_) transport_->queue_changed(queue_number(queue));
}

RingLayout VirtioDevice::layout_of(const VirtioQueue& queue) const {
  return {.size = queue.size,
          .descriptors = queue.descriptors,
          .driver = queue.driver,
          .device = queue.device,
          .indirect = has_feature(virtio::kIndirectDesc),
          .event_index = has_feature(virtio::kEventIdx),
          .notify_on_empty = has_feature(virtio::kNotifyOnEmpty)};
}

void VirtioDevice::start_queue(VirtioQueue& queue, RingPosition position) {
  const RingLayout layout = layout_of(queue);
  auto ring = has_feature(virtio::kRingPacked) ? VirtRing::create_packed(memory_space(), layout, position)
                                               : VirtRing::create_split(memory_space(), layout, position);
  at_home(queue_number(queue), [&] { queue.ring = std::move(ring); });
}

bool VirtioDevice::ready() const {
  return !resetting_ && (status_ & virtio::kNeedsReset) == 0 && (status_ & virtio::kDriverOk) != 0 &&
         transport_->may_access_memory();
}

void VirtioDevice::update_serving() {
  const bool on = ready();
  if (std::exchange(serving_, on) == on) return;
  if (!on) transport_->serving_changed(false);
  kind_serving_changed(on);
  if (on) transport_->serving_changed(true);
}

bool VirtioDevice::may_serve(const VirtioQueue& queue) const {
  return queue.ring != nullptr && ready();
}

void VirtioDevice::notify(size_t n) {
  if (n >= queues_.size() || !ready() || !queues_[n].enabled) return;
  if (queue_loop(n) == nullptr) {
    if (queues_[n].ring != nullptr) serve(queues_[n]);
    return;
  }
  at_home(n, [&] { doorbell(n); });
}

void VirtioDevice::serve_all() {
  for (size_t n = 0; n < queues_.size(); ++n) notify(n);
}

void VirtioDevice::complete(VirtioQueue& queue, const RingElement& element, uint32_t written) {
  push(queue, element, written);
  interrupt(queue);
}

void VirtioDevice::push(VirtioQueue& queue, const RingElement& element, uint32_t written) {
  Result<> pushed = queue.ring->push(element, written);
  if (!pushed) broken(pushed.error());
}

void VirtioDevice::interrupt(VirtioQueue& queue) {
  if (queue.ring != nullptr && queue.ring->take_interrupt()) transport_->queue_interrupt(queue.vector);
}

void VirtioDevice::broken(const Error& error) {
  log_guest_error(type().name, ": ", error.message());
  status_ |= virtio::kNeedsReset;
  update_serving();
  if (has_feature(virtio::kVersion1)) config_changed();
}

void VirtioDevice::config_changed() {
  if ((status_ & virtio::kDriverOk) == 0) return;
  ++config_generation_;
  transport_->config_interrupt();
}

uint64_t VirtioDevice::read_config(uint64_t offset, unsigned size) {
  std::array<uint8_t, 256> config{};
  fill_config(config);
  uint64_t value = 0;
  if (offset > config_bytes() || size > config_bytes() - offset) return ~uint64_t{0};
  std::memcpy(&value, config.data() + offset, size);
  return value;
}

void VirtioDevice::write_config(uint64_t offset, uint64_t value, unsigned size) {
  if (offset > config_bytes() || size > config_bytes() - offset) return;
  std::array<uint8_t, 256> config{};
  fill_config(config);
  std::memcpy(config.data() + offset, &value, size);
  config_written(std::span(config).first(config_bytes()));
}

}  // namespace rhea
