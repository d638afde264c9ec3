// VGA and secondary-vga: the display adapter as a PCI function.
// Memory BAR 0 is the video memory; BAR 2 holds the EDID at 0, ports 0x3c0…0x3df at 0x400, the VBE registers
// at 0x500 and two of QEMU's own at 0x600. Spec: QEMU documentation, docs/specs/standard-vga.txt.
#pragma once

#include "hw/display/edid.h"
#include "hw/display/vga_device.h"
#include "hw/pci/pci_device.h"

namespace rhea {

class VgaPci : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "pci-vga", abstract
  PciIds pci_ids() const override;
  void reset() override;
  const VMState* vmstate() const override;

  VgaDisplay& display() { return *display_; }

  // Properties common to both.
  uint32_t vgamem_mb = 16;
  bool extended_regs = true, edid = true;
  uint32_t xres = 0, yres = 0, xmax = 0, ymax = 0, refresh_rate = 0;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  virtual bool has_mmio() const { return true; }
  virtual bool primary() const = 0;

 private:
  static const VMState kVmState;
  uint64_t edid_read(uint64_t offset, unsigned) { return offset < edid_.size() ? edid_[offset] : 0; }
  void edid_write(uint64_t, uint64_t, unsigned) {}
  uint64_t ports_read(uint64_t offset, unsigned) {
    return display_->core().port_read(0x3c0 + static_cast<uint32_t>(offset));
  }
  void ports_write(uint64_t offset, uint64_t value, unsigned) {
    display_->core().port_write(0x3c0 + static_cast<uint32_t>(offset), static_cast<uint8_t>(value));
  }
  uint64_t vbe_read(uint64_t offset, unsigned) {
    return display_->core().vbe_read(static_cast<uint16_t>(offset / 2));
  }
  void vbe_write(uint64_t offset, uint64_t value, unsigned) {
    display_->core().vbe_write(static_cast<uint16_t>(offset / 2), static_cast<uint16_t>(value));
  }
  uint64_t extended_read(uint64_t offset, unsigned);
  void extended_write(uint64_t offset, uint64_t value, unsigned);
  void make_mmio();

  std::unique_ptr<VgaDisplay> display_;
  EdidBlock edid_{};
  MmioOf<VgaPci, &VgaPci::edid_read, &VgaPci::edid_write> edid_handler_{*this};
  MmioOf<VgaPci, &VgaPci::ports_read, &VgaPci::ports_write> ports_handler_{*this};
  MmioOf<VgaPci, &VgaPci::vbe_read, &VgaPci::vbe_write> vbe_handler_{*this};
  MmioOf<VgaPci, &VgaPci::extended_read, &VgaPci::extended_write> extended_handler_{*this};
  /// What BAR 2 shows between its parts.
  struct Holes final : MmioHandler {
    uint64_t mmio_read(uint64_t, unsigned) override { return UINT64_MAX; }
    void mmio_write(uint64_t, uint64_t, unsigned) override {}
  } holes_;
  std::vector<std::unique_ptr<MemoryRegion>> mmio_parts_;
};

/// With the legacy ports, the window at 0xa0000 and a ROM.
class VgaPrimary final : public VgaPci {
 public:
  static const TypeInfo kType;  ///< "VGA"
  VgaPrimary() { set_default_rom("vgabios-stdvga.bin"); }
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  bool mmio = true;

 protected:
  bool has_mmio() const override { return mmio; }
  bool primary() const override { return true; }
};

/// Without: further displays of a guest whose driver needs neither.
class VgaSecondary final : public VgaPci {
 public:
  static const TypeInfo kType;  ///< "secondary-vga"
  const TypeInfo& type() const override { return kType; }

 protected:
  bool primary() const override { return false; }
};

}  // namespace rhea
