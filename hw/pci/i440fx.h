// 82441FX (PMC): the host bridge of the i440FX chip set; configuration mechanism 1 and the PAM windows.
// Spec: Intel 440FX PCIset data sheet (290549-001), sections 3.2.18 (PAM) and 3.1.
#pragma once

#include "hw/pci/pci_device.h"

namespace rhea {

/// The host bridge as a PCI function, 00:00.0.
class I440fx final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "i440FX"
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  PciIds pci_ids() const override;

  /// Wiring, before realize. `ram` shows guest RAM from address 0; `system` and `pci_memory` are the trees it
  /// is seen in.
  MemoryRegion* ram = nullptr;
  MemoryRegion* system = nullptr;
  MemoryRegion* pci_memory = nullptr;

  void reset() override;
  const VMState* vmstate() const override;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void config_changed(unsigned offset, unsigned size) override;

 private:
  static const VMState kVmState;
  /// What a read gets that no device takes.
  struct NoDevice final : MmioHandler {
    uint64_t mmio_read(uint64_t, unsigned) override { return UINT64_MAX; }
    void mmio_write(uint64_t, uint64_t, unsigned) override {}
  };
  /// One PAM window: bit 0 of its attribute sends reads to RAM, bit 1 writes.
  class PamWindow final : public MmioHandler {
   public:
    void place(I440fx& bridge, GuestAddr start, uint64_t size);
    void remove();
    void set(unsigned attribute);
    uint64_t mmio_read(uint64_t offset, unsigned size) override;  // reads to PCI, writes to RAM
    void mmio_write(uint64_t offset, uint64_t value, unsigned size) override;

   private:
    I440fx* bridge_ = nullptr;
    GuestAddr start_ = 0;
    std::unique_ptr<MemoryRegion> ram_, pci_, write_only_;
    std::unique_ptr<MemoryRegion> nothing_;  ///< below pci_: where no PCI device answers, RAM does not either
    NoDevice no_device_;
  };
  void update_pam();
  void update_smram();

  static constexpr int kWindows = 13;
  std::array<PamWindow, kWindows> pam_;
  std::unique_ptr<MemoryRegion> vga_window_;
  /// What a write-only window reads from and writes to; made when one is first set.
  std::unique_ptr<AddressSpace> pci_space_, ram_space_;
};

/// CONFIG_ADDRESS (0xcf8) and CONFIG_DATA (0xcfc), and the root of pci.0.
class I440fxPciHost final : public Device {
 public:
  static const TypeInfo kType;  ///< "i440FX-pcihost"
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }

  /// Wiring, before realize.
  MemoryRegion* pci_memory = nullptr;
  MemoryRegion* io = nullptr;

  PciBus& pci() const { return *bus_; }
  void reset() override { config_address = 0; }
  const VMState* vmstate() const override;
  std::string fw_name() const override { return "pci@i0cf8"; }

  uint32_t config_address = 0;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t address_read(uint64_t offset, unsigned size);
  void address_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t data_read(uint64_t offset, unsigned size);
  void data_write(uint64_t offset, uint64_t value, unsigned size);
  static const VMState kVmState;

  std::shared_ptr<PciBus> bus_;
  MmioOf<I440fxPciHost, &I440fxPciHost::address_read, &I440fxPciHost::address_write> address_io_{*this};
  MmioOf<I440fxPciHost, &I440fxPciHost::data_read, &I440fxPciHost::data_write> data_io_{*this};
  std::unique_ptr<MemoryRegion> address_region_, data_region_;
};

}  // namespace rhea
