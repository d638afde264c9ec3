// Spec: PCI Local Bus Specification 3.0, sections 2.2.6 and 3.2.2.3.2 (configuration mechanism 1).
#include "hw/pci/pci_device.h"

#include <algorithm>

namespace rhea {

int PciBus::bus_number() const {
  return bridge_ != nullptr ? bridge_->config()[pci::kSecondaryBus] : 0;
}

void PciBus::put_behind(PciDevice& bridge) {
  bridge_ = &bridge;
  auto& all = bridge.pci_bus()->below_;
  all.insert(all.begin(), this);
}

void PciBus::leave_bridge() {
  std::erase(bridge_->pci_bus()->below_, this);
}

void PciBus::set_hotplug_number(uint32_t number) {
  hotplug_number_ = number;
  add_value("acpi-pcihp-bsel", "uint32", [number]() -> Json { return number; });
}

bool PciBus::hotplug_allowed() const {
  return hotplug_number_.has_value() && (bridge_ == nullptr || !bridge_->hidden());
}

std::string PciBus::device_path(const Device& device) const {
  const int devfn = static_cast<const PciDevice&>(device).devfn();
  return str_cat(bridge_ != nullptr ? bridge_->bus_path() : "0000:00", ":",
                 hex(static_cast<uint64_t>(devfn >> 3), 2), ".", devfn & 7);
}

Result<> PciBus::check_address(Device& device) {
  auto& d = static_cast<PciDevice&>(device);
  if (d.devfn() < 0) {
    for (int slot = 0; slot < 32 && d.devfn() < 0; ++slot)
      if (function(pci::devfn(slot, 0)) == nullptr) d.set_devfn(pci::devfn(slot, 0));
    if (d.devfn() < 0)
      return fail(ENOSPC, "PCI: no slot/function available for ", d.type().name, ", all in use or reserved");
  }
  const auto at = static_cast<size_t>(d.devfn());
  if (functions_[at] != nullptr)
    return fail(EBUSY, "PCI: slot ", d.devfn() >> 3, " function ", d.devfn() & 7, " not available for ",
                d.type().name, ", in use by ", functions_[at]->type().name,
                ",id=", functions_[at]->id().empty() ? std::string_view("(null)") : functions_[at]->id());
  const PciDevice* first = function(d.devfn() & ~7);
  if (d.hotplugged() && first != nullptr)
    return fail(EBUSY, "PCI: slot ", d.devfn() >> 3, " function 0 already occupied by ", first->type().name,
                ", new func ", d.type().name, " cannot be exposed to guest.");
  TRY(check_multifunction(d));
  TRY(check_acpi_index(d));
  functions_[at] = &d;
  return {};
}

Result<> PciBus::check_multifunction(const PciDevice& d) const {
  const int slot = d.devfn() >> 3;
  if ((d.devfn() & 7) != 0) {
    const PciDevice* first = function(pci::devfn(slot, 0));
    if (first == nullptr || first->multifunction()) return {};
    return fail(EINVAL, "PCI: single function device can't be populated in function ", hex(unsigned(slot)),
                ".", d.devfn() & 7);
  }
  if (d.multifunction()) return {};
  for (int f = 1; f < 8; ++f)
    if (function(pci::devfn(slot, f)) != nullptr)
      return fail(EINVAL, "PCI: ", hex(unsigned(slot)), ".0 indicates single function, but ",
                  hex(unsigned(slot)), ".", f, " is already populated.");
  return {};
}

namespace {

bool has_acpi_index(const PciBus& bus, uint32_t index) {
  for (int devfn = 0; devfn < 256; ++devfn)
    if (const PciDevice* d = bus.function(devfn); d != nullptr && d->acpi_index == index) return true;
  return std::ranges::any_of(bus.buses_below(), [&](const PciBus* b) { return has_acpi_index(*b, index); });
}

}  // namespace

/// Each index is one function's alone, whatever bus it is on.
Result<> PciBus::check_acpi_index(const PciDevice& d) const {
  if (d.acpi_index == 0) return {};
  if (d.acpi_index > PciDevice::kMaxAcpiIndex)
    return fail(EINVAL, "acpi-index should be less or equal to ", PciDevice::kMaxAcpiIndex);
  const PciBus* root = this;
  while (root->bridge_ != nullptr) root = root->bridge_->pci_bus();
  if (has_acpi_index(*root, d.acpi_index))
    return fail(EEXIST, "a PCI device with acpi-index = ", d.acpi_index, " already exist");
  return {};
}

void PciBus::device_left(const Device* device) {
  for (PciDevice*& function : functions_)
    if (static_cast<Device*>(function) == device) function = nullptr;
}

void PciBus::set_router(std::function<int(int, int)> map, std::vector<IrqLine> inputs) {
  map_ = std::move(map);
  inputs_ = std::move(inputs);
  counts_.assign(inputs_.size(), 0);
}

/// PCI-to-PCI Bridge Architecture 1.2, 9.1: each bridge on the way turns the pins by the slot.
void PciBus::set_intx(PciDevice& device, int pin, int level) {
  PciBus* root = this;
  int devfn = device.devfn();
  for (; root->bridge_ != nullptr; root = root->bridge_->pci_bus()) {
    pin = (pin + (devfn >> 3)) & 3;
    devfn = root->bridge_->devfn();
  }
  if (!root->map_) return;
  const auto input = static_cast<size_t>(root->map_(devfn, pin));
  root->counts_[input] += level != 0 ? 1 : -1;
  root->inputs_[input].set(root->counts_[input] > 0);
}

/// The function a configuration cycle of type 1 reaches: each bridge passes on what lies between the numbers
/// of its secondary and its subordinate bus.
PciDevice* PciBus::find_function(uint32_t address) {
  const int number = static_cast<int>(address >> 16 & 0xff);
  if (number == bus_number()) {
    PciDevice* d = function(static_cast<int>(address >> 8 & 0xff));
    return d != nullptr && d->realized() && !d->hidden() ? d : nullptr;
  }
  for (PciBus* bus : below_) {
    const uint8_t* numbers = bus->bridge_->config();
    if (bus->bridge_->hidden() || number < numbers[pci::kSecondaryBus] ||
        number > numbers[pci::kSubordinateBus])
      continue;
    return bus->find_function(address);
  }
  return nullptr;
}

uint32_t PciBus::config_read(uint32_t address, unsigned size) {
  const uint32_t ones = size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
  PciDevice* d = find_function(address);
  const unsigned offset = address & 0xff;
  if (d == nullptr || offset + size > 256) return ones;
  return d->config_read(offset, size);
}

void PciBus::config_write(uint32_t address, uint32_t value, unsigned size) {
  PciDevice* d = find_function(address);
  const unsigned offset = address & 0xff;
  if (d != nullptr && offset + size <= 256) d->config_write(offset, value, size);
}

const char* pci_class_description(uint16_t class_id) {
  switch (class_id) {
    case 0x0100:
      return "SCSI controller";
    case 0x0101:
      return "IDE controller";
    case 0x0200:
      return "Ethernet controller";
    case 0x0300:
      return "VGA controller";
    case 0x0380:
      return "Display controller";
    case 0x0600:
      return "Host bridge";
    case 0x0601:
      return "ISA bridge";
    case 0x0604:
      return "PCI bridge";
    case 0x0680:
      return "Bridge";
    case 0x0c03:
      return "USB controller";
    default:
      return nullptr;
  }
}

}  // namespace rhea
