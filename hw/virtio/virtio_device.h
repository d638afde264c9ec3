// VirtioDevice: what all kinds of virtio devices are: features, status, queues. Spec: VIRTIO 1.2, chapters 2
// and 3. How the driver reaches it is a transport's business (virtio_pci.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hw/core/device.h"
#include "hw/virtio/ring.h"
#include "util/aio_context.h"

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
/// Most queues a device can have; lists of them travel at this length.
inline constexpr size_t kMaxQueues = 1024;
inline constexpr uint32_t kMaxQueueSize = 1024;
}  // namespace virtio

/// What a device tells its driver through.
class VirtioTransport {
 public:
  virtual ~VirtioTransport() = default;
  virtual void queue_interrupt(uint16_t vector) = 0;
  virtual void config_interrupt() = 0;
  /// The same for queue `n`, from any thread, without a lock and without waiting. While it is being served.
  virtual void signal_queue(size_t n) = 0;
  /// What was signalled so far has reached the guest's side. Main loop.
  virtual void deliver_signals() = 0;
  /// True if doorbells come as events, which queues outside the main loop need.
  virtual bool has_doorbells() const = 0;
  /// Whether the device may be served has changed, or (`queue_changed`) a queue of one that is being served.
  virtual void serving_changed(bool on) = 0;
  virtual void queue_changed(size_t n) = 0;
  /// False while the driver has not let it access memory.
  virtual bool may_access_memory() const = 0;

  // Its part of the device's saved state.
  /// What comes first: the function's own registers.
  virtual void save_head(StateWriter& out) = 0;
  virtual Result<> load_head(StateReader& in) = 0;
  /// Whether queues have interrupt vectors, which then travel with them.
  virtual bool has_vectors() const = 0;
  /// Registers that count as the device's.
  struct Registers {
    uint8_t isr = 0;
    uint16_t queue_select = 0;
  };
  virtual Registers registers() const = 0;
  virtual void set_registers(const Registers& registers) = 0;
  /// A description of what else there is, which comes last; null: nothing. Its object is this transport's.
  virtual const VMState* extra_state() const { return nullptr; }
  virtual void* extra_object() { return nullptr; }
  /// All has been loaded.
  virtual void state_loaded() {}
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

/// Plugs into its transport's "virtio-bus". Machine lock, but for what a kind does with its queues in an I/O
/// thread (queue_loop()): there a queue's ring belongs to that thread alone, and who changes it from
/// elsewhere does so through at_home().
class VirtioDevice : public Device {
 public:
  static const TypeInfo kType;  ///< "virtio-device", abstract
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "virtio-bus"; }
  /// Properties of every kind, for the functions that show them as theirs.
  static std::span<const PropertyInfo> common_properties();

  /// 5: the number of its kind.
  virtual uint16_t virtio_id() const = 0;
  /// The features of its kind it offers.
  virtual uint64_t kind_features() const = 0;
  /// Bytes of configuration space, and what is in it now.
  virtual uint32_t config_bytes() const = 0;
  virtual void fill_config(std::span<uint8_t> config) = 0;
  /// The driver has written the space; `config` is all of it as written.
  virtual void config_written(std::span<const uint8_t> config) { std::ignore = config; }
  /// How many interrupt vectors suit it.
  virtual uint32_t wanted_vectors() const { return static_cast<uint32_t>(queue_count()) + 1; }
  /// False for kinds that came with version 1 of the specification: they have no legacy interface.
  virtual bool has_legacy() const { return true; }

  void set_transport(VirtioTransport& transport, uint64_t features) {
    transport_ = &transport;
    transport_features_ = features;
  }
  uint64_t offered_features() const { return transport_features_ | ring_features() | kind_features(); }
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
  /// Where queue `n` is served; null: in the main loop or a vCPU's thread, under the machine lock. The same
  /// as long as the device is realized.
  virtual AioContext* queue_loop(size_t n) const {
    std::ignore = n;
    return nullptr;
  }
  /// Its doorbell has rung. In the queue's loop, where nothing else needs to be held.
  virtual void doorbell(size_t n) { notify(n); }
  /// Calls `fn` where queue `n` is served, and waits for it.
  template <class F>
  void at_home(size_t n, F&& fn) {
    if (AioContext* const loop = queue_loop(n))
      loop->run_sync(fn);
    else
      fn();
  }
  /// The driver is ready, and nothing keeps the device from serving it.
  bool serving() const { return serving_; }
  /// Finds out anew: what it depends on may have changed.
  void update_serving();
  /// Serves all queues again, where notifications were let pass.
  void serve_all();
  void reset() override;

  // Saved state: one section for the function and the device behind it, in the order virtio_vmstate.cc tells.
  void save_state(StateWriter& out);
  Result<> load_state(StateReader& in, int version);

  // Properties.
  bool indirect_desc = true, event_idx = true, notify_on_empty = true, any_layout = true, packed = false,
       queue_reset = true, iommu_platform = false;
  bool use_started = true, use_disabled_flag = true, no_legacy_check = false;

 protected:
  void make_queues(size_t count, uint16_t size);
  Result<> do_realize() override;
  /// Of a device that has stopped.
  void do_unrealize() override;
  /// Serve what waits there. Only while driver and device agree that it may be served.
  virtual void serve(VirtioQueue& queue) = 0;
  /// Gives up what is under way; is_quiet() says when nothing is any more. Buffers still out are not given
  /// back.
  virtual void forget_requests() {}
  virtual bool is_quiet() const { return true; }
  /// The driver is ready, or was when the state was saved: what depends on the features it took.
  virtual void driver_ready() {}
  /// The device is as after power-up again, whoever reset it.
  virtual void kind_reset() {}
  /// Call where is_quiet() has become true.
  void became_quiet();
  /// serving() has changed; the transport is told afterwards, or before if it is off.
  virtual void kind_serving_changed(bool on) { std::ignore = on; }
  VirtioTransport& transport() const { return *transport_; }
  bool may_serve(const VirtioQueue& queue) const;
  /// Where a queue stands, by its number.
  size_t queue_number(const VirtioQueue& queue) const { return static_cast<size_t>(&queue - queues_.data()); }

  /// Gives a buffer back; interrupts the driver if it wants that.
  void complete(VirtioQueue& queue, const RingElement& element, uint32_t written);
  /// The same without an interrupt: interrupt() follows for all of a batch.
  void push(VirtioQueue& queue, const RingElement& element, uint32_t written);
  void interrupt(VirtioQueue& queue);
  /// The ring is broken: the device needs a reset (2.1.1). Says why in the guest-error log.
  void broken(const Error& error);
  /// Configuration has changed (2.5).
  void config_changed();

  // The kind's part of the saved state.
  virtual void save_kind(StateWriter& out) { std::ignore = out; }
  virtual Result<> load_kind(StateReader& in, int version) {
    std::ignore = in;
    std::ignore = version;
    return {};
  }
  /// The rest is there too; `config` is the configuration space as it was.
  virtual Result<> kind_loaded(std::span<const uint8_t> config) {
    std::ignore = config;
    return {};
  }
  /// An element that was popped and not pushed, as it travels.
  void save_element(StateWriter& out, const RingElement& element) const;
  /// A stream's element before its queue is known to be sound.
  struct SavedElement {
    uint32_t index = 0, slots = 1;
    size_t out_count = 0;
    std::vector<RingElement::GuestPiece> pieces;
  };
  Result<SavedElement> load_element(StateReader& in) const;
  /// Makes it an element of `queue` again; in kind_loaded(). `others` such are there already.
  Result<> restore_element(RingElement& element, const SavedElement& saved, const VirtioQueue& queue) const;

 private:
  friend struct VirtioWire;
  void clear();
  bool ready() const;
  uint64_t ring_features() const;
  RingLayout layout_of(const VirtioQueue& queue) const;
  void start_queue(VirtioQueue& queue, RingPosition position);

  VirtioTransport* transport_ = nullptr;
  uint64_t transport_features_ = 0;
  uint64_t features_ = 0;
  uint8_t status_ = 0;
  uint8_t config_generation_ = 0;
  bool serving_ = false;
  bool resetting_ = false;  ///< the driver has asked, and requests are still under way
  std::vector<VirtioQueue> queues_;
};

/// The fields of every kind's description: one, which is all there is.
extern const VMStateField kVirtioStateFields[1];

/// The one place of a transport.
class VirtioBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "virtio-bus"
  const TypeInfo& type() const override { return kType; }
  using Bus::Bus;
  const char* bus_kind() const override { return "virtio-bus"; }
  int max_devices() const override { return 1; }
  /// That of the function in front: its sections are named so.
  std::string device_path(const Device&) const override {
    return owner() != nullptr ? owner()->bus_path() : std::string();
  }
};

}  // namespace rhea
