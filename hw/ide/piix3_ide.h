// PIIX3 IDE function (82371SB, function 1): two legacy channels with bus mastering. Spec: Intel
// 82371FB/82371SB data sheet (290550-002), sections 2.3 and 2.6; SFF-8038i.
#pragma once

#include <array>
#include <memory>

#include "hw/ide/bmdma.h"
#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_vmstate.h"
#include "hw/pci/pci_device.h"

namespace rhea {

/// The wire form of a bus-master channel: QEMU's "ide bmdma", version 3.
struct BmdmaWire {
  BmdmaChannel* channel = nullptr;  ///< set once
  uint8_t cmd = 0, compat_status = 0;
  uint32_t addr = 0;
  int64_t retry_sector_num = 0;
  uint32_t retry_nsector = 0;
  uint8_t retry_unit = 0;
  // "ide bmdma_current"
  uint32_t cur_addr = 0, cur_prd_last = 0, cur_prd_addr = 0, cur_prd_len = 0;
  // "ide bmdma/status"
  uint8_t status = 0;
  bool have_status = false;
};

class Piix3Ide final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "piix3-ide"
  const TypeInfo& type() const override { return kType; }
  Piix3Ide();
  bool hotpluggable() const override { return false; }
  PciIds pci_ids() const override;
  std::string fw_name() const override;

  /// Wiring, before realize: the interrupt lines of the two channels (ISA 14 and 15).
  std::array<IrqLine, 2> isa_irqs;

  IdeBus& bus(int n) const { return *buses_[static_cast<size_t>(n)]; }
  IdeChannel& channel(int n) const { return bus(n).channel(); }
  BmdmaChannel& bmdma(int n) { return bmdma_[static_cast<size_t>(n)]; }

  void reset() override;
  const VMState* vmstate() const override;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  /// The ports of one channel.
  struct Ports {
    explicit Ports(IdeChannel& c) : channel(c) {}
    IdeChannel& channel;
    uint64_t command_read(uint64_t offset, unsigned size);
    void command_write(uint64_t offset, uint64_t value, unsigned size);
    uint64_t control_read(uint64_t offset, unsigned size);
    void control_write(uint64_t offset, uint64_t value, unsigned size);
    MmioOf<Ports, &Ports::command_read, &Ports::command_write> command_io{*this};
    MmioOf<Ports, &Ports::control_read, &Ports::control_write> control_io{*this};
    std::unique_ptr<MemoryRegion> command, control;
  };
  uint64_t bmdma_read(uint64_t offset, unsigned size);
  void bmdma_write(uint64_t offset, uint64_t value, unsigned size);
  static const VMStateField kFields[];
  static const VMState kVmState;

  std::array<std::shared_ptr<IdeBus>, 2> buses_;
  std::array<BmdmaChannel, 2> bmdma_;
  std::array<std::unique_ptr<Ports>, 2> ports_;
  MmioOf<Piix3Ide, &Piix3Ide::bmdma_read, &Piix3Ide::bmdma_write> bmdma_io_{*this};
  std::array<BmdmaWire, 2> bmdma_wire_;
  std::array<IdeBusWire, 2> bus_wire_;
  std::array<IdeDriveWire, 2> primary_wire_, secondary_wire_;
};

/// "IDE", "ide-device", "ide-cd", "piix3-ide".
void register_ide_types(TypeRegistry& registry);

}  // namespace rhea
