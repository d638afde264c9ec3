// QMP: query-pci, and the text of "info pci". Both show what the same description says.
#include "hw/core/unplug.h"
#include "hw/pci/pci_bridge.h"
#include "qapi/qapi_commands_pci.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

uint16_t word(const PciDevice& d, unsigned at) {
  return load_le<uint16_t>(d.config() + at);
}

PciMemoryRange range_of(const PciBridgeWindow& w) {
  PciMemoryRange range;
  range.base = static_cast<int64_t>(w.base);
  range.limit = static_cast<int64_t>(w.limit);
  return range;
}

std::vector<PciMemoryRegion> regions_of(const PciDevice& d) {
  std::vector<PciMemoryRegion> out;
  for (int n = 0; n < 7; ++n) {
    const MemoryRegion* shown = d.bar_region(n);
    if (shown == nullptr) continue;
    const uint8_t flags = n < 6 ? d.config()[pci::kBar0 + 4 * n] : 0;
    PciMemoryRegion& region = out.emplace_back();
    region.bar = n;
    region.type = (flags & 1) != 0 ? "io" : "memory";
    region.address = static_cast<int64_t>(d.bar_address(n));  // all ones while unmapped, as users know it
    region.size = static_cast<int64_t>(shown->size());
    if ((flags & 1) != 0) continue;
    region.prefetch = (flags & 8) != 0;
    region.mem_type_64 = (flags & 4) != 0;
  }
  return out;
}

std::vector<PciDeviceInfo> functions_of(const PciBus& bus);

PciBridgeInfo bridge_info(const PciDevice& d) {
  const PciBridgeWindows windows = pci_bridge_windows(d);
  PciBridgeInfo info;
  info.bus.number = d.config()[pci::kPrimaryBus];
  info.bus.secondary = d.config()[pci::kSecondaryBus];
  info.bus.subordinate = d.config()[pci::kSubordinateBus];
  info.bus.io_range = range_of(windows.io);
  info.bus.memory_range = range_of(windows.memory);
  info.bus.prefetchable_range = range_of(windows.prefetchable);
  if (info.bus.secondary != 0) info.devices = functions_of(*d.secondary_bus());
  return info;
}

PciDeviceInfo describe_function(const PciDevice& d) {
  PciDeviceInfo info;
  info.bus = d.pci_bus()->bus_number();
  info.slot = d.devfn() >> 3;
  info.function = d.devfn() & 7;
  info.class_info.class_ = word(d, pci::kClass);
  if (const char* text = pci_class_description(word(d, pci::kClass))) info.class_info.desc = text;
  info.id.device = word(d, pci::kDeviceId);
  info.id.vendor = word(d, pci::kVendorId);
  if (d.secondary_bus() == nullptr && word(d, pci::kSubVendorId) != 0) {
    info.id.subsystem = word(d, pci::kSubDeviceId);
    info.id.subsystem_vendor = word(d, pci::kSubVendorId);
  }
  info.irq_pin = d.config()[pci::kInterruptPin];
  if (info.irq_pin != 0) info.irq = d.config()[pci::kInterruptLine];
  info.qdev_id = d.id();
  if (d.secondary_bus() != nullptr) info.pci_bridge = bridge_info(d);
  info.regions = regions_of(d);
  info.unplug = unplug_state(d);
  return info;
}

std::vector<PciDeviceInfo> functions_of(const PciBus& bus) {
  std::vector<PciDeviceInfo> out;
  for (int devfn = 0; devfn < 256; ++devfn)
    if (const PciDevice* d = bus.function(devfn); d != nullptr && d->realized())
      out.push_back(describe_function(*d));
  return out;
}

void print_range(std::string& out, const char* what, const PciMemoryRange& r, int digits) {
  str_append(out, "      ", what, " range [0x", hex(static_cast<uint64_t>(r.base), digits), ", 0x",
             hex(static_cast<uint64_t>(r.limit), digits), "]\n");
}

void print_region(std::string& out, const PciMemoryRegion& r) {
  const bool io = r.type == "io";
  const auto address = static_cast<uint64_t>(r.address);
  const uint64_t last = address + static_cast<uint64_t>(r.size) - 1;
  const int digits = io ? 4 : 8;
  str_append(out, "      BAR", r.bar, ": ");
  if (io)
    out += "I/O";
  else
    str_append(out, r.mem_type_64.value_or(false) ? "64" : "32", " bit ",
               r.prefetch.value_or(false) ? "prefetchable " : "", "memory");
  str_append(out, " at 0x", hex(address, digits), " [0x", hex(last, digits), "].\n");
}

void print_function(std::string& out, const PciDeviceInfo& d) {
  str_append(out, "  Bus ", d.bus < 10 ? " " : "", d.bus, ", device ", d.slot < 10 ? "  " : " ", d.slot,
             ", function ", d.function, ":\n    ");
  const int64_t kind = d.class_info.class_;
  if (d.class_info.desc)
    out += *d.class_info.desc;
  else
    str_append(out, "Class ", std::string(kind < 1000 ? kind < 100 ? 2 : 1 : 0, '0'), kind);
  str_append(out, ": PCI device ", hex(static_cast<uint64_t>(d.id.vendor), 4), ":",
             hex(static_cast<uint64_t>(d.id.device), 4), "\n");
  if (d.id.subsystem_vendor)
    str_append(out, "      PCI subsystem ", hex(static_cast<uint64_t>(*d.id.subsystem_vendor), 4), ":",
               hex(static_cast<uint64_t>(*d.id.subsystem), 4), "\n");
  if (d.irq_pin != 0)
    str_append(out, "      IRQ ", *d.irq, ", pin ", static_cast<char>('A' + d.irq_pin - 1), "\n");
  if (d.pci_bridge) {
    const PciBusInfo& bus = d.pci_bridge->bus;
    str_append(out, "      BUS ", bus.number, ".\n      secondary bus ", bus.secondary,
               ".\n      subordinate bus ", bus.subordinate, ".\n");
    print_range(out, "IO", bus.io_range, 4);
    print_range(out, "memory", bus.memory_range, 8);
    print_range(out, "prefetchable memory", bus.prefetchable_range, 8);
  }
  for (const PciMemoryRegion& r : d.regions) print_region(out, r);
  str_append(out, "      id \"", d.qdev_id, "\"\n");
  if (d.unplug) str_append(out, "      unplug: ", to_string(*d.unplug), "\n");
  if (!d.pci_bridge || !d.pci_bridge->devices) return;
  for (const PciDeviceInfo& behind : *d.pci_bridge->devices) print_function(out, behind);
}

}  // namespace

std::string PciBus::info_text() const {
  std::string out;
  for (const PciDeviceInfo& d : functions_of(*this)) print_function(out, d);
  return out;
}

Result<std::vector<PciInfo>> qmp_query_pci(QmpContext& ctx) {
  std::vector<PciInfo> out;
  const auto* root = dynamic_cast<const PciBus*>(find_bus(ctx.qom.container("/machine"), "pci.0"));
  if (root == nullptr) return out;
  PciInfo& info = out.emplace_back();
  info.bus = 0;
  info.devices = functions_of(*root);
  return out;
}

}  // namespace rhea
