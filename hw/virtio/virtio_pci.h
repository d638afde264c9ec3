// virtio over PCI: registers, capabilities, interrupts of transitional and modern functions.
// Spec: VIRTIO 1.2, section 4.1; its legacy interface in 4.1.4.8 to 4.1.5.
#pragma once

#include <memory>

#include "hw/pci/msix.h"
#include "hw/virtio/virtio_device.h"

namespace rhea {

/// The PCI function in front of a VirtioDevice, its child "virtio-backend".
class VirtioPci : public PciDevice, public VirtioTransport {
 public:
  static const TypeInfo kType;  ///< "virtio-pci", abstract
  const TypeInfo& type() const override { return kType; }

  PciIds pci_ids() const override;
  CoResult<> co_prepare(DeviceContext& context) override { return backend_->co_prepare(context); }
  CoResult<> co_stop() override { return backend_->co_stop(); }
  BlockBackend* block_backend() override { return backend_->block_backend(); }
  int32_t boot_index() const override { return backend_->boot_index(); }
  VirtioDevice& backend() const { return *backend_; }
  void reset() override;
  uint32_t config_read(unsigned offset, unsigned size) override;
  void config_write(unsigned offset, uint32_t value, unsigned size) override;

  // VirtioTransport
  void queue_interrupt(uint16_t vector) override;
  void config_interrupt() override;
  bool may_access_memory() const override { return bus_master(); }

  // Properties.
  static constexpr uint32_t kAutoVectors = UINT32_MAX;
  OnOffAuto disable_legacy = OnOffAuto::kAuto;
  bool disable_modern = false;
  uint32_t vectors = kAutoVectors;
  bool indirect_desc = true, event_idx = true, notify_on_empty = true, any_layout = true, packed = false,
       queue_reset = true, iommu_platform = false;

 protected:
  VirtioPci(std::shared_ptr<VirtioDevice> backend, uint16_t class_id)
      : backend_(std::move(backend)), class_id_(class_id) {}
  Result<> do_realize() override;
  void do_unrealize() override;
  void config_changed(unsigned offset, unsigned size) override;
  static const PropertyInfo kProperties[];

 private:
  bool legacy() const { return disable_legacy != OnOffAuto::kOn; }
  bool modern() const { return !disable_modern; }
  uint64_t transport_features() const;
  void add_modern();
  void add_legacy();
  void raise(uint16_t vector, uint8_t isr_bit);
  uint64_t take_isr();
  uint16_t checked_vector(uint64_t vector) const;
  void after_status();
  bool window_target(unsigned offset, unsigned size, uint64_t& at, unsigned& bytes) const;

  uint64_t legacy_read(uint64_t offset, unsigned size);
  void legacy_write(uint64_t offset, uint64_t value, unsigned size);
  void set_legacy_queue(uint32_t page_frame);
  uint64_t legacy_features() const;
  uint64_t modern_read(uint64_t offset, unsigned size);
  void modern_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t common_read(uint64_t offset) const;
  void common_write(uint64_t offset, uint64_t value, unsigned size);
  void queue_write(VirtioQueue& queue, uint64_t offset, uint64_t value, unsigned size);

  std::shared_ptr<VirtioDevice> backend_;
  std::shared_ptr<VirtioBus> virtio_bus_;
  const uint16_t class_id_;
  std::unique_ptr<Msix> msix_;
  unsigned window_ = 0;  ///< where VIRTIO_PCI_CAP_PCI_CFG lies; 0: nowhere
  // Registers.
  uint8_t isr_ = 0;
  uint16_t queue_select_ = 0;
  uint16_t config_vector_ = virtio::kNoVector;
  uint32_t device_feature_select_ = 0, driver_feature_select_ = 0;
  uint64_t driver_features_ = 0;
  uint32_t legacy_page_frame_ = 0;
  MmioOf<VirtioPci, &VirtioPci::legacy_read, &VirtioPci::legacy_write> legacy_io_{*this};
  MmioOf<VirtioPci, &VirtioPci::modern_read, &VirtioPci::modern_write> modern_io_{*this};
};

}  // namespace rhea
