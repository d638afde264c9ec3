#include "hw/virtio/virtio_pci.h"

#include <bit>

#include "qapi/vm_control.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr int kLegacyBar = 0, kMsixBar = 1, kPioNotifyBar = 2, kModernBar = 4;
constexpr uint8_t kVendorCapability = 9;
constexpr uint8_t kIsrQueue = 1, kIsrConfig = 2;
constexpr uint32_t kRegionBytes = 0x1000;
constexpr uint64_t kLegacyNotifyAt = 16;
constexpr uint64_t kIsrAt = 0x1000, kDeviceAt = 0x2000, kNotifyAt = 0x3000;

/// 4.1.4: where the structures lie in the modern BAR.
struct Structure {
  uint8_t type;
  uint32_t offset;
};
constexpr Structure kStructures[] = {{1, 0}, {3, kIsrAt}, {4, kDeviceAt}, {2, kNotifyAt}};

}  // namespace

constexpr PropertyInfo VirtioPci::kProperties[] = {
    prop<&VirtioPci::bus_master_bug>("virtio-pci-bus-master-bug-migration", "on/off"),
    prop<&VirtioPci::migrate_extra>("migrate-extra", "on/off"),
    prop<&VirtioPci::modern_pio_notify>("modern-pio-notify", "on/off"),
    prop<&VirtioPci::page_per_vq>("page-per-vq", "on/off"),
    prop<&VirtioPci::aer>("aer", "on/off"),
    prop<&VirtioPci::ats>("ats", "on/off"),
    prop<&VirtioPci::ats_page_aligned>("x-ats-page-aligned", "on/off"),
    prop<&VirtioPci::disable_pcie>("x-disable-pcie", "on/off"),
    prop<&VirtioPci::ignore_backend_features>("x-ignore-backend-features"),
    prop<&VirtioPci::pcie_deverr>("x-pcie-deverr-init", "on/off"),
    prop<&VirtioPci::pcie_flr>("x-pcie-flr-init", "on/off"),
    prop<&VirtioPci::pcie_lnkctl>("x-pcie-lnkctl-init", "on/off"),
    prop<&VirtioPci::pcie_pm>("x-pcie-pm-init", "on/off"),
};
constexpr TypeInfo VirtioPci::kType{
    .name = "virtio-pci", .parent = &PciDevice::kType, .properties = VirtioPci::kProperties};

PciIds VirtioPci::pci_ids() const {
  const uint16_t kind = backend_->virtio_id();
  const uint16_t class_id = class_override != 0 ? static_cast<uint16_t>(class_override) : class_id_;
  // 4.1.2.1: modern numbers start at 0x1040; a transitional block device is 0x1001.
  if (!legacy())
    return {.vendor = 0x1af4,
            .device = static_cast<uint16_t>(0x1040 + kind),
            .revision = 1,
            .class_id = class_id};
  constexpr uint16_t kTransitional[] = {0, 0x1000, 0x1001, 0x1003, 0x1005, 0x1002, 0, 0, 0x1004, 0x1009};
  return {.vendor = 0x1af4,
          .device = kind < std::size(kTransitional) ? kTransitional[kind] : uint16_t{0},
          .revision = 0,
          .class_id = class_id,
          .sub_device = kind};
}

CoResult<> VirtioPci::co_prepare(DeviceContext& context) {
  context_ = &context;
  running_ = context.vm == nullptr || context.vm->running();
  return backend_->co_prepare(context);
}

Result<> VirtioPci::do_realize() {
  if (!backend_->has_legacy() && disable_legacy == OnOffAuto::kOff && !backend_->no_legacy_check)
    return fail(EINVAL, "device is modern-only, use disable-legacy=on");
  if (!legacy() && !modern())
    return fail(EINVAL, "device cannot work as neither modern nor legacy mode is enabled");
  TRY(PciDevice::do_realize());
  config()[pci::kInterruptPin] = 1;
  backend_->set_transport(*this, modern() ? virtio::kVersion1 : 0);
  if (virtio_bus_ == nullptr) {
    virtio_bus_ = std::make_shared<VirtioBus>("virtio-bus");
    add_bus(virtio_bus_);
  }
  TRY(add_device(backend_, virtio_bus_.get(), *this, "virtio-backend"));
  if (modern()) add_modern();
  if (modern() && modern_pio_notify) add_pio_notify();
  const uint32_t wanted = vectors == kAutoVectors ? backend_->wanted_vectors() : vectors;
  if (wanted > 0)
    msix_ = std::make_unique<Msix>(*this, kMsixBar,
                                   static_cast<uint16_t>(std::min<uint32_t>(wanted, Msix::kMaxVectors)));
  if (legacy()) add_legacy();
  if (context_ == nullptr) return {};
  Result<std::unique_ptr<VirtioPciEvents>> events = VirtioPciEvents::create(*this, context_->main_loop);
  if (!events) {
    remove_device(*backend_);
    return Failure(std::move(events).error());
  }
  events_ = std::move(*events);
  if (msix_ != nullptr) msix_->on_change = [this] { events_->vectors_changed(); };
  return {};
}

void VirtioPci::do_unrealize() {
  if (msix_ != nullptr) msix_->on_change = nullptr;
  events_.reset();
  PciDevice::do_unrealize();
  msix_.reset();
}

void VirtioPci::add_modern() {
  const uint32_t notify_bytes = notify_stride() * static_cast<uint32_t>(virtio::kMaxQueues);
  register_wide_bar(kModernBar, MemoryRegion::io("virtio-pci", std::bit_ceil(kNotifyAt + notify_bytes),
                                                 modern_io_, {.valid_max = 4, .impl_max = 4}));
  for (const Structure& s : kStructures) {
    const bool notify = s.offset == kNotifyAt;
    const uint8_t bytes = notify ? 20 : 16;
    uint8_t* cap = config() + add_capability(kVendorCapability, bytes);
    cap[2] = bytes;
    cap[3] = s.type;
    cap[4] = kModernBar;
    store_le<uint32_t>(cap + 8, s.offset);
    store_le<uint32_t>(cap + 12, notify ? notify_bytes : kRegionBytes);
    if (notify) store_le<uint32_t>(cap + 16, notify_stride());
  }
  window_ = add_capability(kVendorCapability, 20);
  uint8_t* cap = config() + window_;
  cap[2] = 20;
  cap[3] = 5;
  write_mask()[window_ + 4] = 0xff;
  for (unsigned i = 8; i < 16; ++i) write_mask()[window_ + i] = 0xff;
}

/// A port besides, for hosts where those are quicker; the number of the queue is what is written.
void VirtioPci::add_pio_notify() {
  register_bar(kPioNotifyBar, true,
               MemoryRegion::io("virtio-pci-notify-pio", 4, pio_notify_io_, {.valid_max = 4, .impl_max = 4}));
  uint8_t* cap = config() + add_capability(kVendorCapability, 20);
  cap[2] = 20;
  cap[3] = 2;
  cap[4] = kPioNotifyBar;
  store_le<uint32_t>(cap + 12, 4);
}

void VirtioPci::pio_notify_write(uint64_t, uint64_t value, unsigned) {
  backend_->notify(value & 0xffff);
}

/// 4.1.4.9: the modern BAR through configuration space, for firmware that has not mapped it.
bool VirtioPci::window_target(unsigned offset, unsigned size, uint64_t& at, unsigned& bytes) const {
  if (window_ == 0 || offset != window_ + 16) return false;
  at = load_le<uint32_t>(config() + window_ + 8);
  const uint32_t length = load_le<uint32_t>(config() + window_ + 12);
  bytes = std::min<unsigned>(size, length);
  return config()[window_ + 4] == kModernBar && (length == 1 || length == 2 || length == 4) &&
         at < bar_region(kModernBar)->size() && at % length == 0;
}

uint32_t VirtioPci::config_read(unsigned offset, unsigned size) {
  uint64_t at;
  unsigned bytes;
  if (window_target(offset, size, at, bytes)) return static_cast<uint32_t>(modern_read(at, bytes));
  return PciDevice::config_read(offset, size);
}

void VirtioPci::config_write(unsigned offset, uint32_t value, unsigned size) {
  PciDevice::config_write(offset, value, size);
  uint64_t at;
  unsigned bytes;
  if (window_target(offset, size, at, bytes)) modern_write(at, value, bytes);
}

void VirtioPci::add_legacy() {
  const uint64_t bytes = 24 + uint64_t{backend_->config_bytes()};
  register_bar(
      kLegacyBar, true,
      MemoryRegion::io("virtio-pci", std::bit_ceil(bytes), legacy_io_, {.valid_max = 4, .impl_max = 4}));
}

void VirtioPci::config_changed(unsigned offset, unsigned size) {
  PciDevice::config_changed(offset, size);
  if (msix_ != nullptr) msix_->config_changed(offset, size);
  if (realized() && offset < pci::kCommand + 2 && pci::kCommand < offset + size) backend_->update_serving();
}

void VirtioPci::reset() {
  PciDevice::reset();
  if (msix_ != nullptr) msix_->reset();
  backend_->set_status(0);
  after_status();
}

/// A device that has been reset forgets its registers too.
void VirtioPci::after_status() {
  if (backend_->status() != 0) return;
  config_vector_ = virtio::kNoVector;
  queue_select_ = 0;
  device_feature_select_ = driver_feature_select_ = 0;
  driver_features_ = 0;
  isr_ = 0;
  if (events_ != nullptr) events_->forget();
  set_intx(0);
}

// --- Doorbells and interrupts as events.

bool VirtioPci::has_doorbells() const {
  return context_ != nullptr && ioeventfd && type().find_property("ioeventfd") != nullptr;
}

void VirtioPci::serving_changed(bool) {
  update_events();
}

void VirtioPci::queue_changed(size_t n) {
  if (events_ != nullptr) events_->queue_changed(n);
}

void VirtioPci::run_state_changed(bool running) {
  running_ = running;
  update_events();
}

void VirtioPci::update_events() {
  if (events_ != nullptr) events_->set_on(running_ && has_doorbells() && backend_->serving());
}

std::vector<VirtioPci::Doorbell> VirtioPci::doorbells(size_t n, int fd) const {
  std::vector<Doorbell> out;
  const MemoryRegion::IoEvent by_value{.offset = 0, .size = 2, .match_data = true, .data = n, .fd = fd};
  if (legacy()) {
    out.push_back({bar_region(kLegacyBar), by_value});
    out.back().event.offset = kLegacyNotifyAt;
  }
  if (modern())
    out.push_back(
        {bar_region(kModernBar),
         {.offset = kNotifyAt + n * notify_stride(), .size = 0, .match_data = false, .data = 0, .fd = fd}});
  if (modern() && modern_pio_notify) out.push_back({bar_region(kPioNotifyBar), by_value});
  return out;
}

// --- Interrupts (4.1.5.1.3, 4.1.4.5).

void VirtioPci::raise(uint16_t vector, uint8_t isr_bit) {
  if (msix_ != nullptr && msix_->enabled()) return msix_->notify(vector);
  isr_ |= isr_bit;
  set_intx(1);
}

void VirtioPci::queue_interrupt(uint16_t vector) {
  raise(vector, kIsrQueue);
}

void VirtioPci::config_interrupt() {
  raise(config_vector_, kIsrQueue | kIsrConfig);
}

uint64_t VirtioPci::take_isr() {
  set_intx(0);
  return std::exchange(isr_, 0);
}

uint16_t VirtioPci::checked_vector(uint64_t vector) const {
  return msix_ != nullptr && vector < msix_->vectors() ? static_cast<uint16_t>(vector) : virtio::kNoVector;
}

// --- Legacy registers (4.1.4.8).

namespace {
enum Legacy : uint8_t {
  kHostFeatures = 0,
  kGuestFeatures = 4,
  kPageFrame = 8,
  kQueueSize = 12,
  kQueueSelect = 14,
  kNotify = 16,
  kStatus = 18,
  kIsr = 19,
  kConfigVector = 20,
  kQueueVector = 22
};
}  // namespace

/// Old drivers see what fits into 32 bits.
uint64_t VirtioPci::legacy_features() const {
  return backend_->offered_features() & 0xffffffff;
}

uint64_t VirtioPci::legacy_read(uint64_t offset, unsigned size) {
  const bool with_vectors = msix_ != nullptr && msix_->enabled();
  const uint64_t config_at = with_vectors ? 24 : 20;
  if (offset >= config_at) return backend_->read_config(offset - config_at, size);
  const VirtioQueue* queue = backend_->queue(queue_select_);
  switch (offset) {
    case kHostFeatures:
      return legacy_features();
    case kGuestFeatures:
      return backend_->features() & 0xffffffff;
    case kPageFrame:
      return queue != nullptr && queue->enabled ? static_cast<uint32_t>(queue->descriptors >> 12) : 0;
    case kQueueSize:
      return queue != nullptr ? queue->max_size : 0;
    case kQueueSelect:
      return queue_select_;
    case kStatus:
      return backend_->status();
    case kIsr:
      return take_isr();
    case kConfigVector:
      return config_vector_;
    case kQueueVector:
      return queue != nullptr ? queue->vector : virtio::kNoVector;
    default:
      return 0;
  }
}

/// 2.7.2: a legacy ring lies in one piece, the used ring on a page of its own.
void VirtioPci::set_legacy_queue(uint32_t page_frame) {
  VirtioQueue* queue = backend_->queue(queue_select_);
  if (queue == nullptr) return;
  if (page_frame == 0) {
    backend_->set_status(0);
    return after_status();
  }
  queue->size = queue->max_size;
  queue->descriptors = GuestAddr{page_frame} << 12;
  queue->driver = queue->descriptors + 16u * queue->size;
  queue->device = (queue->driver + 6 + 2u * queue->size + 4095) & ~GuestAddr{4095};
  backend_->enable_queue(*queue);
}

void VirtioPci::legacy_write(uint64_t offset, uint64_t value, unsigned size) {
  const bool with_vectors = msix_ != nullptr && msix_->enabled();
  const uint64_t config_at = with_vectors ? 24 : 20;
  if (offset >= config_at) return backend_->write_config(offset - config_at, value, size);
  VirtioQueue* queue = backend_->queue(queue_select_);
  switch (offset) {
    case kGuestFeatures:
      return backend_->set_features(value & legacy_features());
    case kPageFrame:
      return set_legacy_queue(static_cast<uint32_t>(value));
    case kQueueSelect:
      queue_select_ = static_cast<uint16_t>(value);
      return;
    case kNotify:
      return backend_->notify(value & 0xffff);
    case kStatus:
      backend_->set_status(static_cast<uint8_t>(value));
      after_status();
      // Linux before 2.6.34 forgets to: it has always worked nevertheless.
      if ((value & 0xff) == (virtio::kAcknowledge | virtio::kDriver) && !bus_master())
        config_write(pci::kCommand, config()[pci::kCommand] | pci::kCommandMaster, 1);
      return;
    case kConfigVector:
      config_vector_ = checked_vector(value & 0xffff);
      return;
    case kQueueVector:
      if (queue == nullptr) return;
      queue->vector = checked_vector(value & 0xffff);
      if (events_ != nullptr) events_->vectors_changed();
      return;
    default:
      return;
  }
}

// --- Modern registers (4.1.4.3 to 4.1.4.6).

namespace {
enum Common : uint8_t {
  kDeviceFeatureSelect = 0,
  kDeviceFeature = 4,
  kDriverFeatureSelect = 8,
  kDriverFeature = 12,
  kMsixConfig = 16,
  kQueueCount = 18,
  kDeviceStatus = 20,
  kGeneration = 21,
  kSelect = 22,
  kSize = 24,
  kVector = 26,
  kEnable = 28,
  kNotifyOffset = 30,
  kDescriptorsLow = 32,
  kDriverLow = 40,
  kDeviceLow = 48,
  kQueueReset = 58
};

uint64_t half_of(uint64_t word, uint64_t offset) {
  return (offset & 4) != 0 ? word >> 32 : word & 0xffffffff;
}
void set_half(uint64_t& word, uint64_t offset, uint64_t value) {
  const unsigned shift = (offset & 4) != 0 ? 32 : 0;
  word = (word & ~(uint64_t{0xffffffff} << shift)) | (value & 0xffffffff) << shift;
}
}  // namespace

uint64_t VirtioPci::common_read(uint64_t offset) const {
  const VirtioQueue* queue = backend_->queue(queue_select_);
  switch (offset) {
    case kDeviceFeatureSelect:
      return device_feature_select_;
    case kDeviceFeature:
      return device_feature_select_ < 2
                 ? backend_->offered_features() >> 32 * device_feature_select_ & 0xffffffff
                 : 0;
    case kDriverFeatureSelect:
      return driver_feature_select_;
    case kDriverFeature:
      return driver_feature_select_ < 2 ? driver_features_ >> 32 * driver_feature_select_ & 0xffffffff : 0;
    case kMsixConfig:
      return config_vector_;
    case kQueueCount:
      return backend_->queue_count();
    case kDeviceStatus:
      return backend_->status();
    case kGeneration:
      return backend_->config_generation();
    case kSelect:
      return queue_select_;
    default:
      break;
  }
  if (queue == nullptr) return 0;
  switch (offset) {
    case kSize:
      return queue->size;
    case kVector:
      return queue->vector;
    case kEnable:
      return queue->enabled;
    case kNotifyOffset:
      return queue_select_;
    case kDescriptorsLow:
    case kDescriptorsLow + 4:
      return half_of(queue->descriptors, offset);
    case kDriverLow:
    case kDriverLow + 4:
      return half_of(queue->driver, offset);
    case kDeviceLow:
    case kDeviceLow + 4:
      return half_of(queue->device, offset);
    default:
      return 0;
  }
}

void VirtioPci::common_write(uint64_t offset, uint64_t value, unsigned size) {
  switch (offset) {
    case kDeviceFeatureSelect:
      device_feature_select_ = static_cast<uint32_t>(value);
      return;
    case kDriverFeatureSelect:
      driver_feature_select_ = static_cast<uint32_t>(value);
      return;
    case kDriverFeature:
      if (driver_feature_select_ > 1) return;
      set_half(driver_features_, driver_feature_select_ * 4, value);
      return backend_->set_features(driver_features_);
    case kMsixConfig:
      config_vector_ = checked_vector(value);
      return;
    case kDeviceStatus:
      // 3.1.1: what the driver took must hold together, or FEATURES_OK does not stick.
      if ((value & virtio::kFeaturesOk) != 0 && (!backend_->has_feature(virtio::kVersion1) ||
                                                 (driver_features_ & ~backend_->offered_features()) != 0))
        value &= ~uint64_t{virtio::kFeaturesOk};
      backend_->set_status(static_cast<uint8_t>(value));
      return after_status();
    case kSelect:
      queue_select_ = static_cast<uint16_t>(value);
      return;
    default:
      if (VirtioQueue* queue = backend_->queue(queue_select_)) queue_write(*queue, offset, value, size);
  }
}

void VirtioPci::queue_write(VirtioQueue& queue, uint64_t offset, uint64_t value, unsigned) {
  if (offset == kVector) {
    queue.vector = checked_vector(value);
    if (events_ != nullptr) events_->vectors_changed();
    return;
  }
  if (offset == kQueueReset) {
    // One whose buffers are all with the driver; the others end with the device's reset.
    bool all_returned = false;
    backend_->at_home(queue_select_,
                      [&] { all_returned = queue.ring != nullptr && queue.ring->position().in_use == 0; });
    if ((value & 1) != 0 && backend_->has_feature(virtio::kRingReset) && all_returned)
      backend_->reset_queue(queue);
    return;
  }
  if (queue.enabled) return;  // 4.1.4.3.2: set up before it is enabled
  switch (offset) {
    case kSize: {
      const bool fits = value != 0 && value <= queue.max_size;
      if (fits && (backend_->has_feature(virtio::kRingPacked) || std::has_single_bit(value)))
        queue.size = static_cast<uint16_t>(value);
      return;
    }
    case kEnable:
      if (value == 1) backend_->enable_queue(queue);
      return;
    case kDescriptorsLow:
    case kDescriptorsLow + 4:
      return set_half(queue.descriptors, offset, value);
    case kDriverLow:
    case kDriverLow + 4:
      return set_half(queue.driver, offset, value);
    case kDeviceLow:
    case kDeviceLow + 4:
      return set_half(queue.device, offset, value);
    default:
      return;
  }
}

uint64_t VirtioPci::modern_read(uint64_t offset, unsigned size) {
  if (offset >= kNotifyAt) return 0;
  if (offset >= kDeviceAt) return backend_->read_config(offset - kDeviceAt, size);
  if (offset >= kIsrAt) return offset == kIsrAt ? take_isr() : 0;
  return common_read(offset);
}

void VirtioPci::modern_write(uint64_t offset, uint64_t value, unsigned size) {
  if (offset >= kNotifyAt) return backend_->notify((offset - kNotifyAt) / notify_stride());
  if (offset >= kDeviceAt) return backend_->write_config(offset - kDeviceAt, value, size);
  if (offset < kIsrAt) common_write(offset, value, size);
}

}  // namespace rhea
