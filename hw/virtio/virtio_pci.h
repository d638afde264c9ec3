// virtio over PCI: registers, capabilities, interrupts of transitional and modern functions.
// Spec: VIRTIO 1.2, section 4.1; its legacy interface in 4.1.4.8 to 4.1.5.
#pragma once

#include <memory>

#include "hw/core/run_state_listener.h"
#include "hw/pci/msix.h"
#include "hw/virtio/virtio_device.h"
#include "hw/virtio/virtio_pci_events.h"

namespace rhea {

/// The PCI function in front of a VirtioDevice, its child "virtio-backend".
class VirtioPci : public PciDevice, public VirtioTransport, public RunStateListener {
 public:
  static const TypeInfo kType;  ///< "virtio-pci", abstract
  const TypeInfo& type() const override { return kType; }

  PciIds pci_ids() const override;
  CoResult<> co_prepare(DeviceContext& context) override;
  CoResult<> co_stop() override {
    if (realized()) backend_->update_serving();  // one that was unplugged is no bus master any more
    return backend_->co_stop();
  }
  BlockBackend* block_backend() override { return backend_->block_backend(); }
  VirtioDevice& backend() const { return *backend_; }
  void reset() override;
  uint32_t config_read(unsigned offset, unsigned size) override;
  void config_write(unsigned offset, uint32_t value, unsigned size) override;

  // VirtioTransport
  void queue_interrupt(uint16_t vector) override;
  void config_interrupt() override;
  void signal_queue(size_t n) override { events_->signal(n); }
  void deliver_signals() override {
    if (events_ != nullptr) events_->deliver();
  }
  bool has_doorbells() const override;
  void serving_changed(bool on) override;
  void queue_changed(size_t n) override;
  bool may_access_memory() const override { return bus_master(); }
  void save_head(StateWriter& out) override;
  Result<> load_head(StateReader& in) override;
  bool has_vectors() const override { return msix_ != nullptr; }
  Registers registers() const override { return {.isr = isr_, .queue_select = queue_select_}; }
  void set_registers(const Registers& registers) override;
  const VMState* extra_state() const override;
  void* extra_object() override { return this; }
  void state_loaded() override;

  void run_state_changed(bool running) override;

  /// Where a write is queue `n`'s doorbell: `fd` is signalled for it.
  struct Doorbell {
    MemoryRegion* region;
    MemoryRegion::IoEvent event;
  };
  std::vector<Doorbell> doorbells(size_t n, int fd) const;
  const Msix* msix() const { return msix_.get(); }

  // Properties.
  static constexpr uint32_t kAutoVectors = UINT32_MAX;
  OnOffAuto disable_legacy = OnOffAuto::kAuto;
  bool disable_modern = false;
  uint32_t vectors = kAutoVectors;
  uint32_t class_override = 0;  ///< "class": 0: the kind's own
  bool ioeventfd = true;
  bool page_per_vq = false, modern_pio_notify = false, migrate_extra = true, bus_master_bug = false;
  // Those of PCI Express mean nothing on a conventional bus, the only one there is.
  bool aer = false, ats = false, ats_page_aligned = true, disable_pcie = false,
       ignore_backend_features = false, pcie_deverr = true, pcie_lnkctl = true, pcie_pm = true,
       pcie_flr = true;

 protected:
  /// `vectors`: the property's value before anybody sets it.
  VirtioPci(std::shared_ptr<VirtioDevice> backend, uint16_t class_id, uint32_t default_vectors)
      : vectors(default_vectors), backend_(std::move(backend)), class_id_(class_id) {}
  Result<> do_realize() override;
  void do_unrealize() override;
  void config_changed(unsigned offset, unsigned size) override;
  static const PropertyInfo kProperties[];

 private:
  friend struct VirtioPciWire;
  bool legacy() const {
    return backend_->has_legacy() ? disable_legacy != OnOffAuto::kOn : disable_legacy == OnOffAuto::kOff;
  }
  bool modern() const { return !disable_modern; }
  void add_modern();
  void add_legacy();
  void add_pio_notify();
  uint32_t notify_stride() const { return page_per_vq ? 4096 : 4; }
  void raise(uint16_t vector, uint8_t isr_bit);
  uint64_t take_isr();
  uint16_t checked_vector(uint64_t vector) const;
  void after_status();
  void update_events();
  bool window_target(unsigned offset, unsigned size, uint64_t& at, unsigned& bytes) const;

  uint64_t legacy_read(uint64_t offset, unsigned size);
  void legacy_write(uint64_t offset, uint64_t value, unsigned size);
  void set_legacy_queue(uint32_t page_frame);
  uint64_t legacy_features() const;
  uint64_t pio_notify_read(uint64_t, unsigned) { return 0; }
  void pio_notify_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t modern_read(uint64_t offset, unsigned size);
  void modern_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t common_read(uint64_t offset) const;
  void common_write(uint64_t offset, uint64_t value, unsigned size);
  void queue_write(VirtioQueue& queue, uint64_t offset, uint64_t value, unsigned size);

  std::shared_ptr<VirtioDevice> backend_;
  std::shared_ptr<VirtioBus> virtio_bus_;
  const uint16_t class_id_;
  std::unique_ptr<Msix> msix_;
  DeviceContext* context_ = nullptr;
  std::unique_ptr<VirtioPciEvents> events_;  ///< null where there is no loop to hear them
  bool running_ = true;                      ///< the machine
  unsigned window_ = 0;                      ///< where VIRTIO_PCI_CAP_PCI_CFG lies; 0: nowhere
  // Registers.
  uint8_t isr_ = 0;
  uint16_t queue_select_ = 0;
  uint16_t config_vector_ = virtio::kNoVector;
  uint32_t device_feature_select_ = 0, driver_feature_select_ = 0;
  uint64_t driver_features_ = 0;
  struct LoadedQueue {
    GuestAddr descriptors = 0, driver = 0, device = 0;
    bool enabled = false;
  };
  std::vector<LoadedQueue> loaded_queues_;  ///< while state is being loaded
  MmioOf<VirtioPci, &VirtioPci::legacy_read, &VirtioPci::legacy_write> legacy_io_{*this};
  MmioOf<VirtioPci, &VirtioPci::modern_read, &VirtioPci::modern_write> modern_io_{*this};
  MmioOf<VirtioPci, &VirtioPci::pio_notify_read, &VirtioPci::pio_notify_write> pio_notify_io_{*this};
};

}  // namespace rhea
