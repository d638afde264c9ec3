// A PCI-to-PCI bridge with a bus of its own. Spec: PCI-to-PCI Bridge Architecture 1.2, chapters 3 and 4.
#pragma once

#include "hw/pci/pci_device.h"

namespace rhea {

/// Addresses that a bridge passes on; none if `limit` lies below `base`.
struct PciBridgeWindow {
  uint64_t base = 0, limit = 0;  ///< inclusive
};
/// The windows as the bridge's registers say, whatever its command register allows.
struct PciBridgeWindows {
  PciBridgeWindow io, memory, prefetchable;
};
PciBridgeWindows pci_bridge_windows(const PciDevice& bridge);

/// "pci-bridge": the bus behind it is called like the bridge, or "pci.N". Without SHPC and MSI: slots come
/// and go through ACPI.
class PciBridge final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "pci-bridge"
  const TypeInfo& type() const override { return kType; }
  PciBridge();
  ~PciBridge() override;
  PciIds pci_ids() const override;
  PciBus* secondary_bus() const override { return bus_.get(); }
  void hide() override;
  void reset() override;
  const VMState* vmstate() const override;
  std::string fw_name() const override;

  // Properties.
  uint8_t chassis_nr = 0;
  bool shpc = false;
  OnOffAuto msi = OnOffAuto::kAuto;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void config_changed(unsigned offset, unsigned size) override;

 private:
  static const PropertyInfo kProperties[];
  static const VMState kVmState;
  void set_up_header();
  void add_slot_numbering();
  void update_windows();
  void show(std::unique_ptr<MemoryRegion>& shown, MemoryRegion& behind, MemoryRegion& before,
            PciBridgeWindow window, bool open);
  void reset_secondary();

  std::unique_ptr<MemoryRegion> memory_, io_;  ///< of the bus behind it
  std::unique_ptr<MemoryRegion> io_window_, memory_window_, prefetchable_window_;
  std::shared_ptr<PciBus> bus_;
  unsigned numbering_ = 0;  ///< where the slot numbering capability lies
  bool in_reset_ = false;   ///< bridge control holds the bus behind it in reset
};

}  // namespace rhea
