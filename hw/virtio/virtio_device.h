// VirtioDevice: what all kinds of virtio devices are: features, status, queues. Spec: VIRTIO 1.2, chapters 2
// and 3. How the driver reaches it is a transport's business (virtio_pci.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hw/core/device.h"
#include "hw/virtio/ring.h"

namespace rhea {

namespace virtio {
// Feature bits that belong to no kind of device (chapter 6).
inline constexpr uint64_t kNotifyOnEmpty = uint64_t{1} << 24, kAnyLayout = uint64_t{1} << 27,
                          kIndirectDesc = uint64_t{1} << 28, kEventIdx = uint64_t{1} << 29,
                          kVersion1 = uint64_t{1} << 32, kIommuPlatform = uint64_t{1} << 33,
                          kRingPacked = uint64_t{1} << 34, kRingReset = uint64_t{1} << 40;
// Device status (2.1).
inline constexpr uint8_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64,
                         kFailed = 128;
inline constexpr uint16_t kNoVector = 0xffff;
}  // namespace virtio

/// What a device tells its driver through.
class VirtioTransport {
 public:
  virtual ~VirtioTransport() = default;
  virtual void queue_interrupt(uint16_t vector) = 0;
  virtual void config_interrupt() = 0;
  /// False while the driver has not let it access memory.
  virtual bool may_access_memory() const = 0;
};

/// A queue as the driver sets it up. Guest-controlled.
struct VirtioQueue {
  uint16_t max_size = 0;
  uint16_t size = 0;
  GuestAddr descriptors = 0, driver = 0, device = 0;
  uint16_t vector = virtio::kNoVector;
  bool enabled = false;
  std::unique_ptr<VirtRing> ring;  ///< while it is served
};

/// Plugs into its transport's "virtio-bus". Machine lock.
class VirtioDevice : public Device {
 public:
  static const TypeInfo kType;  ///< "virtio-device", abstract
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "virtio-bus"; }

  /// 5: the number of its kind.
  virtual uint16_t virtio_id() const = 0;
  /// The features of its kind it offers.
  virtual uint64_t kind_features() const = 0;
  /// Bytes of configuration space, and what is in it now.
  virtual uint32_t config_bytes() const = 0;
  virtual void fill_config(std::span<uint8_t> config) = 0;
  /// The driver has written the space; `config` is all of it as written.
  virtual void config_written(std::span<const uint8_t> config) { std::ignore = config; }

  void set_transport(VirtioTransport& transport, uint64_t features) {
    transport_ = &transport;
    transport_features_ = features;
  }
  uint64_t offered_features() const { return transport_features_ | kind_features(); }
  uint64_t features() const { return features_; }
  bool has_feature(uint64_t bit) const { return (features_ & bit) != 0; }
  /// Only before FEATURES_OK; bits not offered are dropped.
  void set_features(uint64_t features);
  uint8_t status() const;
  void set_status(uint8_t status);
  uint8_t config_generation() const { return config_generation_; }
  uint64_t read_config(uint64_t offset, unsigned size);
  void write_config(uint64_t offset, uint64_t value, unsigned size);

  size_t queue_count() const { return queues_.size(); }
  /// Null if there is none of that number.
  VirtioQueue* queue(size_t n) { return n < queues_.size() ? &queues_[n] : nullptr; }
  /// Lets the device serve the queue; a ring that cannot be is found out when it is looked at.
  void enable_queue(VirtioQueue& queue);
  /// 2.6.1: forgets it, and what was set up.
  void reset_queue(VirtioQueue& queue);
  /// The driver has put something into queue `n`.
  void notify(size_t n);
  void reset() override;

  bool use_indirect = true, use_event_index = true;

 protected:
  void make_queues(size_t count, uint16_t size);
  void do_unrealize() override { queues_.clear(); }
  /// Serve what waits there. Only while driver and device agree that it may be served.
  virtual void serve(VirtioQueue& queue) = 0;
  /// Gives up what is under way; is_quiet() says when nothing is any more. Buffers still out are not given
  /// back.
  virtual void forget_requests() {}
  virtual bool is_quiet() const { return true; }
  /// Call where is_quiet() has become true.
  void became_quiet();
  /// Serves all queues again, where notifications were let pass.
  void serve_all();
  bool may_serve(const VirtioQueue& queue) const;

  /// Gives a buffer back; interrupts the driver if it wants that.
  void complete(VirtioQueue& queue, const RingElement& element, uint32_t written);
  /// The ring is broken: the device needs a reset (2.1.1). Says why in the guest-error log.
  void broken(const Error& error);
  /// Configuration has changed (2.5).
  void config_changed();

 private:
  void clear();
  VirtioTransport* transport_ = nullptr;
  uint64_t transport_features_ = 0;
  uint64_t features_ = 0;
  uint8_t status_ = 0;
  uint8_t config_generation_ = 0;
  bool resetting_ = false;  ///< the driver has asked, and requests are still under way
  std::vector<VirtioQueue> queues_;
};

/// The one place of a transport.
class VirtioBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "virtio-bus"
  const TypeInfo& type() const override { return kType; }
  using Bus::Bus;
  const char* bus_kind() const override { return "virtio-bus"; }
  int max_devices() const override { return 1; }
};

}  // namespace rhea
