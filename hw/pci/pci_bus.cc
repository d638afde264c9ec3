// Spec: PCI Local Bus Specification 3.0, sections 2.2.6 and 3.2.2.3.2 (configuration mechanism 1).
#include "hw/pci/pci_device.h"
#include "util/byteorder.h"

namespace rhea {

std::string PciBus::device_path(const Device& device) const {
  const int devfn = static_cast<const PciDevice&>(device).devfn();
  return str_cat("0000:00:", hex(static_cast<uint64_t>(devfn >> 3), 2), ".", devfn & 7);
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
  TRY(check_multifunction(d));
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

void PciBus::device_left(const Device* device) {
  for (PciDevice*& function : functions_)
    if (static_cast<Device*>(function) == device) function = nullptr;
}

void PciBus::set_router(std::function<int(int, int)> map, std::vector<IrqLine> inputs) {
  map_ = std::move(map);
  inputs_ = std::move(inputs);
  counts_.assign(inputs_.size(), 0);
}

void PciBus::set_intx(PciDevice& device, int pin, int level) {
  if (!map_) return;
  const auto input = static_cast<size_t>(map_(device.devfn(), pin));
  counts_[input] += level != 0 ? 1 : -1;
  inputs_[input].set(counts_[input] > 0);
}

uint32_t PciBus::config_read(uint32_t address, unsigned size) {
  const uint32_t ones = size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
  const unsigned bus = address >> 16 & 0xff;
  PciDevice* d = bus == 0 ? function(static_cast<int>(address >> 8 & 0xff)) : nullptr;
  const unsigned offset = address & 0xff;
  if (d == nullptr || !d->realized() || offset + size > 256) return ones;
  return d->config_read(offset, size);
}

void PciBus::config_write(uint32_t address, uint32_t value, unsigned size) {
  const unsigned bus = address >> 16 & 0xff;
  PciDevice* d = bus == 0 ? function(static_cast<int>(address >> 8 & 0xff)) : nullptr;
  const unsigned offset = address & 0xff;
  if (d != nullptr && d->realized() && offset + size <= 256) d->config_write(offset, value, size);
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

namespace {

void describe_bars(const PciDevice& d, std::string& out) {
  for (int n = 0; n < 7; ++n) {
    const MemoryRegion* region = d.bar_region(n);
    if (region == nullptr) continue;
    const uint8_t flags = n < 6 ? d.config()[pci::kBar0 + 4 * n] : 0;
    const bool io = (flags & 1) != 0, prefetchable = (flags & 8) != 0;
    const uint64_t address = d.bar_address(n);  // all ones while unmapped, as users of QEMU know it
    const uint64_t last = address + region->size() - 1;
    const int digits = io ? 4 : 8;
    str_append(out, "      BAR", n,
               io             ? ": I/O"
               : prefetchable ? ": 32 bit prefetchable memory"
                              : ": 32 bit memory",
               " at 0x", hex(address, digits), " [0x", hex(last, digits), "].\n");
  }
}

}  // namespace

std::string PciBus::info_text() const {
  std::string out;
  for (const PciDevice* d : functions_) {
    if (d == nullptr || !d->realized()) continue;
    const uint16_t class_id = load_le<uint16_t>(d->config() + pci::kClass);
    str_append(out, "  Bus  0, device ", d->devfn() >> 3 < 10 ? "  " : " ", d->devfn() >> 3, ", function ",
               d->devfn() & 7, ":\n    ");
    if (const char* text = pci_class_description(class_id))
      str_append(out, text);
    else
      str_append(out, "Class ", std::string(class_id < 1000 ? class_id < 100 ? 2 : 1 : 0, '0'), class_id);
    str_append(out, ": PCI device ", hex(load_le<uint16_t>(d->config()), 4), ":",
               hex(load_le<uint16_t>(d->config() + 2), 4), "\n");
    if (load_le<uint16_t>(d->config() + pci::kSubVendorId) != 0)
      str_append(out, "      PCI subsystem ", hex(load_le<uint16_t>(d->config() + pci::kSubVendorId), 4), ":",
                 hex(load_le<uint16_t>(d->config() + pci::kSubDeviceId), 4), "\n");
    if (d->config()[pci::kInterruptPin] != 0)
      str_append(out, "      IRQ ", d->config()[pci::kInterruptLine], ", pin ",
                 static_cast<char>('A' + d->config()[pci::kInterruptPin] - 1), "\n");
    describe_bars(*d, out);
    str_append(out, "      id \"", d->id(), "\"\n");
  }
  return out;
}

}  // namespace rhea
