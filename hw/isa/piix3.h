// PIIX3 PCI-to-ISA bridge (82371SB, function 0): PIRQ routing, reset control.
// Spec: Intel 82371FB/82371SB data sheet (290550-002), sections 2.2 and 2.5.2.
#pragma once

#include <functional>

#include "hw/isa/isa_bus.h"
#include "hw/pci/pci_device.h"

namespace rhea {

struct Piix3State {
  uint8_t rcr = 0;  ///< RC, reset control register at port 0xcf9
};

class Piix3 final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "PIIX3"
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  PciIds pci_ids() const override;

  /// Wiring, before realize: the controllers' inputs 0..15, the port space, what a reset request does.
  std::array<IrqLine, 16> isa_irqs;
  std::function<void()> on_reset_request;

  IsaBus& isa() const { return *isa_; }
  /// PIRQA..D (0..3) as routing inputs for the PCI bus.
  int irq_input_count() const override { return 4; }
  const std::array<int, 4>& pirq_levels() const { return pirq_levels_; }
  void reset() override;
  const VMState* vmstate() const override;

  Piix3State state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void irq_input(int pirq, int level) override;
  void config_changed(unsigned offset, unsigned size) override;

 private:
  uint64_t reset_control_read(uint64_t offset, unsigned size);
  void reset_control_write(uint64_t offset, uint64_t value, unsigned size);
  /// Drives the ISA lines as levels and routes are now; lines it does not change are left alone.
  void update_irqs();
  /// The ISA line PIRQ `pirq` drives now; 16 if none.
  unsigned route(int pirq) const;
  static const VMState kVmState;

  std::shared_ptr<IsaBus> isa_;
  MmioOf<Piix3, &Piix3::reset_control_read, &Piix3::reset_control_write> reset_control_{*this};
  std::unique_ptr<MemoryRegion> reset_region_;
  std::array<int, 4> pirq_levels_{};
  uint16_t driven_ = 0;  ///< ISA lines held up by a PIRQ
};

}  // namespace rhea
