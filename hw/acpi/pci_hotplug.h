// PCI hotplug registers: how the guest's ACPI code learns which slots got a device or are to lose one, and
// lets go of it. Spec: QEMU's docs/specs/acpi_pci_hotplug.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "hw/pci/pci_device.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

/// The slots of one bus, a bit each, as the guest reads them.
struct PciHotplugSlots {
  uint32_t up = 0;    ///< a device has come
  uint32_t down = 0;  ///< the guest is to let go of what is there
};

/// Machine lock.
class AcpiPciHotplug {
 public:
  static constexpr uint64_t kBase = 0xae00, kBytes = 0x18;
  static constexpr unsigned kGpe = 1;
  static constexpr uint32_t kBuses = 256;

  /// What stands behind the registers.
  struct Wiring {
    std::function<void()> raise_gpe;
    std::function<void(PciDevice&)> told;   ///< the guest has read that it is to let go
    std::function<void(PciDevice&)> eject;  ///< it has; must not take the device away at once
  };
  struct Kind {
    bool bridges = true;  ///< buses behind bridges have slots too
    bool root = true;     ///< the root bus has
  };
  AcpiPciHotplug(PciBus& root, Kind kind, Wiring wiring);
  void map(MemoryRegion& io);
  /// What was asked for is done. The first time buses get their numbers: the root, then those behind the
  /// bridges that are there, each before those behind it, newest first.
  void reset();

  /// A device has come to the running machine. Nothing if its bus has no number.
  void plugged(const PciDevice& device);
  /// Asks the guest to let go of it.
  void ask_to_unplug(const PciDevice& device);
  /// It is not asked any more.
  void withdraw(const PciDevice& device);
  /// After a load: who is to go.
  std::vector<PciDevice*> asked() const;
  const Kind& kind() const { return kind_; }

  // State that travels.
  uint32_t selected = 0;
  uint32_t acpi_index = 0;  ///< of the function asked for, until it is read
  std::array<PciHotplugSlots, kBuses> slots{};

 private:
  uint64_t read(uint64_t offset, unsigned size);
  void write(uint64_t offset, uint64_t value, unsigned size);
  PciBus* find_bus(uint32_t number) const;
  uint32_t removable(uint32_t number) const;
  uint32_t read_up(uint32_t number);
  uint32_t read_down(uint32_t number);
  void eject(uint32_t number, uint32_t slots);
  PciHotplugSlots* slots_of(const PciDevice& device);

  PciBus& root_;
  const Kind kind_;
  Wiring wiring_;
  bool numbered_ = false;
  MmioOf<AcpiPciHotplug, &AcpiPciHotplug::read, &AcpiPciHotplug::write> io_{*this};
  std::unique_ptr<MemoryRegion> region_;
};

}  // namespace rhea
