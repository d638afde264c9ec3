#include "hw/acpi/pci_hotplug.h"

#include <bit>

namespace rhea {

namespace {

constexpr uint64_t kPciUp = 0x00, kPciDown = 0x04, kPciEject = 0x08, kPciRemovable = 0x0c, kPciSelect = 0x10,
                   kPciAcpiIndex = 0x14;

uint32_t slot_bit(const PciDevice& device) {
  return uint32_t{1} << (device.devfn() >> 3);
}

/// A bridge that was there when the machine started has its slots in the guest's tables, and stays.
bool may_leave(const PciDevice& device) {
  return device.hotpluggable() && (device.secondary_bus() == nullptr || device.hotplugged());
}

PciBus* find_numbered(PciBus& at, uint32_t number) {
  if (at.hotplug_number() == number) return &at;
  for (PciBus* below : at.buses_below())
    if (PciBus* found = find_numbered(*below, number)) return found;
  return nullptr;
}

void number_from(PciBus& bus, bool this_one, bool below, uint32_t& next) {
  if (this_one && next < AcpiPciHotplug::kBuses) bus.set_hotplug_number(next++);
  if (!below) return;
  for (PciBus* b : bus.buses_below()) number_from(*b, true, true, next);
}

/// The functions in the slots of `bus` that `bits` names.
std::vector<PciDevice*> functions_in(const PciBus& bus, uint32_t bits) {
  std::vector<PciDevice*> out;
  for (int devfn = 0; devfn < 256; ++devfn)
    if (PciDevice* d = bus.function(devfn); d != nullptr && d->realized() && (bits >> (devfn >> 3) & 1) != 0)
      out.push_back(d);
  return out;
}

}  // namespace

AcpiPciHotplug::AcpiPciHotplug(PciBus& root, Kind kind, Wiring wiring)
    : root_(root), kind_(kind), wiring_(std::move(wiring)) {
  region_ = MemoryRegion::io("acpi-pci-hotplug", kBytes, io_, {.valid_max = 4, .impl_max = 4});
}

void AcpiPciHotplug::map(MemoryRegion& io) {
  io.add_subregion(kBase, *region_);
}

PciBus* AcpiPciHotplug::find_bus(uint32_t number) const {
  return find_numbered(root_, number);
}

void AcpiPciHotplug::reset() {
  if (!std::exchange(numbered_, true)) {
    uint32_t next = 0;
    number_from(root_, kind_.root, kind_.bridges, next);
  }
  for (uint32_t number = 0; number < kBuses; ++number)
    while (slots[number].down != 0) eject(number, slots[number].down);
}

// --- What happens to devices.

PciHotplugSlots* AcpiPciHotplug::slots_of(const PciDevice& device) {
  const auto number = device.pci_bus() != nullptr ? device.pci_bus()->hotplug_number() : std::nullopt;
  return number ? &slots[*number] : nullptr;
}

void AcpiPciHotplug::plugged(const PciDevice& device) {
  PciHotplugSlots* s = slots_of(device);
  if (s == nullptr) return;
  s->up |= slot_bit(device);
  wiring_.raise_gpe();
}

void AcpiPciHotplug::ask_to_unplug(const PciDevice& device) {
  PciHotplugSlots* s = slots_of(device);
  if (s == nullptr) return;
  s->down |= slot_bit(device);
  wiring_.raise_gpe();
}

void AcpiPciHotplug::withdraw(const PciDevice& device) {
  if (PciHotplugSlots* s = slots_of(device)) s->down &= ~slot_bit(device);
}

std::vector<PciDevice*> AcpiPciHotplug::asked() const {
  std::vector<PciDevice*> out;
  for (uint32_t number = 0; number < kBuses; ++number) {
    const PciBus* bus = slots[number].down != 0 ? find_bus(number) : nullptr;
    if (bus == nullptr) continue;
    for (PciDevice* d : functions_in(*bus, slots[number].down)) out.push_back(d);
  }
  return out;
}

/// One slot, the lowest of `bits`: its requests are done, and what may leave leaves.
void AcpiPciHotplug::eject(uint32_t number, uint32_t bits) {
  const uint32_t lowest = bits & (~bits + 1);
  const PciBus* bus = find_bus(number);
  slots[number].up &= ~lowest;
  slots[number].down &= ~lowest;
  if (bus == nullptr) return;
  for (PciDevice* d : functions_in(*bus, lowest)) {
    if (!may_leave(*d)) continue;
    d->hide();
    wiring_.eject(*d);
  }
}

// --- Registers: 32 bits at a time, or nothing.

uint32_t AcpiPciHotplug::removable(uint32_t number) const {
  const PciBus* bus = find_bus(number);
  uint32_t bits = UINT32_MAX;
  if (bus == nullptr) return bits;
  for (const PciDevice* d : functions_in(*bus, UINT32_MAX))
    if (!may_leave(*d)) bits &= ~slot_bit(*d);
  return bits;
}

/// With slots on one bus only, arrivals stay to be read again.
uint32_t AcpiPciHotplug::read_up(uint32_t number) {
  const uint32_t up = slots[number].up;
  if (kind_.bridges) slots[number].up = 0;
  return up;
}

uint32_t AcpiPciHotplug::read_down(uint32_t number) {
  const uint32_t down = slots[number].down;
  const PciBus* bus = down != 0 ? find_bus(number) : nullptr;
  if (bus != nullptr)
    for (PciDevice* d : functions_in(*bus, down)) wiring_.told(*d);
  return down;
}

uint64_t AcpiPciHotplug::read(uint64_t offset, unsigned size) {
  if (size != 4 || selected >= kBuses) return 0;
  switch (offset) {
    case kPciUp:
      return read_up(selected);
    case kPciDown:
      return read_down(selected);
    case kPciRemovable:
      return removable(selected);
    case kPciSelect:
      return selected;
    case kPciAcpiIndex:
      return std::exchange(acpi_index, 0);
    default:
      return 0;  // features: none
  }
}

void AcpiPciHotplug::write(uint64_t offset, uint64_t value, unsigned size) {
  if (size != 4) return;
  const auto bits = static_cast<uint32_t>(value);
  if (offset == kPciSelect) {
    selected = kind_.bridges ? bits : 0;
    return;
  }
  if (selected >= kBuses || bits == 0) {
    if (offset == kPciAcpiIndex) acpi_index = 0;
    return;
  }
  if (offset == kPciEject) return eject(selected, bits);
  if (offset != kPciAcpiIndex) return;
  const PciBus* bus = find_bus(selected);
  const PciDevice* d = bus != nullptr ? bus->function(std::countr_zero(bits) << 3) : nullptr;
  acpi_index = d != nullptr ? d->acpi_index : 0;
}

}  // namespace rhea
