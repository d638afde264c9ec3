// The I/O APIC: 24 inputs that become interrupt messages.
// Spec: Intel 82093AA data sheet (290566-001); version 0x20 with the EOI register of later chip sets.
#pragma once

#include <functional>

#include "accel/irqchip.h"
#include "hw/core/device.h"
#include "memory/memory.h"

namespace rhea {

struct IoapicState {
  static constexpr unsigned kPins = 24;
  uint8_t id = 0;
  uint8_t ioregsel = 0;
  uint32_t irr = 0;                           ///< requests not yet sent
  std::array<uint64_t, kPins> redirection{};  ///< IOREDTBL, 3.2.4
};
extern const VMState kIoapicStateVmState;  ///< of IoapicState: section "ioapic", version 3

/// Inputs 0..23 by irq_in().
class Ioapic final : public Device {
 public:
  static const TypeInfo kType;  ///< "ioapic"
  static constexpr GuestAddr kBase = 0xfec0'0000;
  static constexpr uint64_t kBytes = 0x1000;
  Ioapic() { clear(); }
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  int irq_input_count() const override { return IoapicState::kPins; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: the memory that shows the registers at kBase (null: nobody's), and who takes the
  /// messages. ExtINT pins send delivery mode 7: the receiver asks the 8259 for the vector.
  MemoryRegion* memory = nullptr;
  std::function<void(const MsiMessage&)> deliver;

  /// Told when the table has changed: an accelerator that reports ends of interrupts follows it.
  std::function<void()> on_table_change;
  /// What input `pin` would send now; empty if it is masked or asks the 8259 for a vector.
  std::optional<MsiMessage> route(unsigned pin) const;
  /// A local APIC has finished the level-triggered interrupt `vector`.
  void end_of_interrupt(uint8_t vector);
  /// How often each input was raised since the machine was made.
  const std::array<uint64_t, IoapicState::kPins>& request_counts() const { return counts_; }

  uint8_t version = 0x20;  ///< property
  IoapicState state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void irq_input(int n, int level) override;

 private:
  uint64_t mmio_read(uint64_t offset, unsigned size);
  void mmio_write(uint64_t offset, uint64_t value, unsigned size);
  uint32_t read_window() const;
  void write_window(uint32_t value);
  void write_entry(unsigned index, uint32_t value);
  void service(unsigned pin);
  void service_all();
  void clear();

  uint32_t levels_ = 0;  ///< of the inputs; not part of the state: their drivers repeat them
  std::array<uint64_t, IoapicState::kPins> counts_{};
  std::unique_ptr<MemoryRegion> region_;
  MmioOf<Ioapic, &Ioapic::mmio_read, &Ioapic::mmio_write> mmio_{*this};
};

}  // namespace rhea
