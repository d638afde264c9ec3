#include "hw/pci/pci_bridge.h"

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint8_t kBridgeHeader = 1;
constexpr uint8_t kSlotNumbering = 4;      // capability id
constexpr uint8_t kFirstInChassis = 0x20;  // expansion slot register
constexpr uint8_t kWidePrefetch = 1;       // the low bits of the prefetchable registers: 64-bit
constexpr uint16_t kBridgeBits = 0x00a0;   // status, both sides: 66 MHz, fast back-to-back
constexpr uint16_t kControlBits = 0x0bff, kControlClears = 0x0400, kSecondaryReset = 0x0040;

std::string free_bus_name() {
  Object& machine = qom_root().container("/machine");
  unsigned n = 1;
  while (find_bus(machine, str_cat("pci.", n)) != nullptr) ++n;
  return str_cat("pci.", n);
}

}  // namespace

PciBridgeWindows pci_bridge_windows(const PciDevice& bridge) {
  const uint8_t* c = bridge.config();
  auto memory = [c](uint8_t at) { return uint64_t{load_le<uint16_t>(c + at) & 0xfff0u} << 16; };
  auto upper = [c](uint8_t at) { return uint64_t{load_le<uint32_t>(c + at)} << 32; };
  PciBridgeWindows w;
  w.io = {uint64_t{c[pci::kIoBase] & 0xf0u} << 8, uint64_t{c[pci::kIoLimit] & 0xf0u} << 8 | 0xfff};
  w.memory = {memory(pci::kMemoryBase), memory(pci::kMemoryLimit) | 0xfffff};
  w.prefetchable = {memory(pci::kPrefetchBase) | upper(pci::kPrefetchBaseUpper),
                    memory(pci::kPrefetchLimit) | upper(pci::kPrefetchLimitUpper) | 0xfffff};
  return w;
}

constexpr PropertyInfo PciBridge::kProperties[] = {
    prop<&PciBridge::chassis_nr>("chassis_nr"),
    prop<&PciBridge::shpc>("shpc"),
    prop<&PciBridge::msi>("msi", "on/off/auto"),
};
constexpr TypeInfo PciBridge::kType{
    .name = "pci-bridge",
    .parent = &PciDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PciBridge>(); },
    .properties = PciBridge::kProperties,
    .description = "Standard PCI Bridge",
    .user_creatable = true,
    .category = DeviceCategory::kBridge};

PciBridge::PciBridge() = default;
PciBridge::~PciBridge() = default;

PciIds PciBridge::pci_ids() const {
  return {.vendor = 0x1b36, .device = 0x0001, .revision = 0, .class_id = 0x0604};
}

std::string PciBridge::fw_name() const {
  std::string out = str_cat("pci-bridge@", hex(static_cast<uint64_t>(devfn() >> 3)));
  if ((devfn() & 7) != 0) str_append(out, ",", devfn() & 7);
  return out;
}

Result<> PciBridge::do_realize() {
  if (chassis_nr == 0)
    return fail(EINVAL,
                "Bridge chassis not specified. Each bridge is required to be assigned a unique "
                "chassis id > 0.");
  if (shpc) return fail(ENOTSUP, "shpc=on is not supported: slots behind a bridge come and go through ACPI");
  if (msi == OnOffAuto::kOn) return fail(ENOTSUP, "msi=on is not supported: the bridge raises no interrupt");
  if (!rom_file().empty()) return fail(ENOTSUP, "a pci-bridge takes no romfile");
  TRY(PciDevice::do_realize());
  set_up_header();
  add_slot_numbering();
  memory_ = MemoryRegion::container("pci_bridge_pci", MemoryRegion::kWholeSpace);
  io_ = MemoryRegion::container("pci_bridge_io", 0x10000);
  bus_ = std::make_shared<PciBus>(id().empty() ? free_bus_name() : id(), *memory_, *io_);
  bus_->put_behind(*this);
  add_bus(bus_);
  return {};
}

/// 3.2: what the guest may change, and where a bridge's header is not that of another function.
void PciBridge::set_up_header() {
  config()[pci::kHeaderType] |= kBridgeHeader;
  store_le<uint32_t>(config() + pci::kPrefetchLimitUpper, 0);  // subsystem ids elsewhere
  store_le<uint16_t>(config() + pci::kStatus, load_le<uint16_t>(config() + pci::kStatus) | kBridgeBits);
  store_le<uint16_t>(config() + pci::kSecondaryStatus, kBridgeBits);
  store_le<uint16_t>(clear_mask() + pci::kSecondaryStatus, 0xf900);
  store_le<uint32_t>(write_mask() + pci::kPrimaryBus, UINT32_MAX);
  write_mask()[pci::kIoBase] = write_mask()[pci::kIoLimit] = 0xf0;
  for (const uint8_t at : {pci::kMemoryBase, pci::kMemoryLimit, pci::kPrefetchBase, pci::kPrefetchLimit})
    store_le<uint16_t>(write_mask() + at, 0xfff0);
  config()[pci::kPrefetchBase] = config()[pci::kPrefetchLimit] = kWidePrefetch;
  store_le<uint64_t>(write_mask() + pci::kPrefetchBaseUpper, UINT64_MAX);
  store_le<uint16_t>(write_mask() + pci::kBridgeControl, kControlBits);
  store_le<uint16_t>(clear_mask() + pci::kBridgeControl, kControlClears);
}

/// 13.4: the chassis is the guest's to change, and survives a reset.
void PciBridge::add_slot_numbering() {
  numbering_ = add_capability(kSlotNumbering, 4);
  config()[numbering_ + 2] = kFirstInChassis;
  config()[numbering_ + 3] = chassis_nr;
  write_mask()[numbering_ + 3] = 0xff;
}

void PciBridge::do_unrealize() {
  io_window_.reset();
  memory_window_.reset();
  prefetchable_window_.reset();
  bus_->leave_bridge();
  PciDevice::do_unrealize();
}

void PciBridge::hide() {
  PciDevice::hide();
  for (int devfn = 0; devfn < 256; ++devfn)
    if (PciDevice* d = bus_->function(devfn)) d->hide();
  update_windows();
}

void PciBridge::reset() {
  const uint8_t chassis = config()[numbering_ + 3];
  PciDevice::reset();
  config()[numbering_ + 3] = chassis;
  in_reset_ = false;
  update_windows();
}

void PciBridge::config_changed(unsigned offset, unsigned size) {
  PciDevice::config_changed(offset, size);
  auto touches = [&](unsigned from, unsigned bytes) { return offset < from + bytes && from < offset + size; };
  if (touches(pci::kCommand, 2) || touches(pci::kIoBase, 2) || touches(pci::kMemoryBase, 16))
    update_windows();
  if (touches(pci::kBridgeControl, 2)) reset_secondary();
}

void PciBridge::show(std::unique_ptr<MemoryRegion>& shown, MemoryRegion& behind, MemoryRegion& before,
                     PciBridgeWindow w, bool open) {
  shown.reset();
  if (!open || hidden() || w.limit < w.base) return;
  const uint64_t bytes = w.limit - w.base + 1;
  shown = MemoryRegion::alias(str_cat(behind.name(), "-window"), behind, w.base,
                              bytes != 0 ? bytes : MemoryRegion::kWholeSpace);
  before.add_subregion(w.base, *shown, 1);
}

void PciBridge::update_windows() {
  const MemoryTransaction transaction;
  const uint16_t command = load_le<uint16_t>(config() + pci::kCommand);
  const bool ports = (command & pci::kCommandIo) != 0, memory = (command & pci::kCommandMemory) != 0;
  const PciBridgeWindows w = pci_bridge_windows(*this);
  show(io_window_, *io_, pci_bus()->io(), w.io, ports);
  show(memory_window_, *memory_, pci_bus()->memory(), w.memory, memory);
  show(prefetchable_window_, *memory_, pci_bus()->memory(), w.prefetchable, memory);
}

/// 3.2.5.17, bit 6: while set the bus behind is held in reset; its devices lose their state when it is set.
void PciBridge::reset_secondary() {
  const bool on = (load_le<uint16_t>(config() + pci::kBridgeControl) & kSecondaryReset) != 0;
  if (std::exchange(in_reset_, on) || !on) return;
  for (int devfn = 0; devfn < 256; ++devfn) {
    PciDevice* d = bus_->function(devfn);
    if (d == nullptr || !d->realized()) continue;
    d->reset();
    reset_devices(*d);
  }
}

constexpr VMStateField kPciBridgeFields[] = {pci_device_field<PciBridge>("parent_obj")};
constexpr VMState PciBridge::kVmState{.name = "pci_bridge",
                                      .version = 0,
                                      .fields = kPciBridgeFields,
                                      .post_load = [](void* o, int) -> Result<> {
                                        auto& bridge = *static_cast<PciBridge*>(o);
                                        const uint16_t control =
                                            load_le<uint16_t>(bridge.config() + pci::kBridgeControl);
                                        bridge.in_reset_ = (control & kSecondaryReset) != 0;
                                        bridge.update_windows();
                                        return {};
                                      }};
const VMState* PciBridge::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
