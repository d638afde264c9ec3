// Spec: PCI Local Bus Specification 3.0, chapter 6.
#include "hw/pci/pci_device.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "hw/core/data_files.h"
#include "util/byteorder.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kMaxRomBytes = uint64_t{16} << 20;
constexpr size_t kMinRomBytes = 2048;
constexpr uint64_t kWideTop = (uint64_t{1} << 46) - 1;  ///< no processor reaches higher

/// "3.1", "0x3" or "03.0": slot and function of an `addr` property.
bool parse_addr(std::string_view text, int& devfn) {
  const size_t dot = text.find('.');
  uint64_t slot = 0, function = 0;
  auto parse_hex = [](std::string_view s, uint64_t& out) {
    if (s.starts_with("0x") || s.starts_with("0X")) s.remove_prefix(2);
    auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out, 16);
    return !s.empty() && ec == std::errc() && end == s.data() + s.size();
  };
  if (!parse_hex(text.substr(0, dot), slot)) return false;
  if (dot != std::string_view::npos && !parse_hex(text.substr(dot + 1), function)) return false;
  if (slot > 31 || function > 7) return false;
  devfn = pci::devfn(static_cast<int>(slot), static_cast<int>(function));
  return true;
}

Json get_addr(const Object& o) {
  return int64_t{static_cast<const PciDevice&>(o).devfn()};
}

std::string print_addr(const Object& o) {
  const int devfn = static_cast<const PciDevice&>(o).devfn();
  return devfn < 0 ? "<unset>" : str_cat(hex(static_cast<uint64_t>(devfn >> 3), 2), ".", devfn & 7);
}

Result<> set_addr(Object& o, std::string_view name, const Json& value, ValueForm form) {
  int devfn = -1;
  if ((value.is_int() || value.is_uint()) && form == ValueForm::kTyped) {
    if (!value.is_int() || value.as_int() < -1 || value.as_int() > 255)
      return fail(EINVAL, "Parameter '", name, "' expects a value between -1 and 255");
    devfn = static_cast<int>(value.as_int());
  } else {
    if (!value.is_string() && form == ValueForm::kTyped)
      return fail(EINVAL, "Invalid parameter type for '", name, "', expected int or str");
    const std::string text = TRY(property_str(name, value, form));
    if (!parse_addr(text, devfn))
      return fail(EINVAL, "Property '", o.type().name, ".addr' doesn't take value '", text, "'");
  }
  static_cast<PciDevice&>(o).set_devfn(devfn);
  return {};
}

Json read_multifunction(const Object& o) {
  return static_cast<const PciDevice&>(o).multifunction();
}
Result<> write_multifunction(Object& o, std::string_view name, const Json& value, ValueForm form) {
  static_cast<PciDevice&>(o).set_multifunction(TRY(property_bool(name, value, form)));
  return {};
}

Json read_rom_file(const Object& o) {
  return static_cast<const PciDevice&>(o).rom_file();
}
Result<> write_rom_file(Object& o, std::string_view name, const Json& value, ValueForm form) {
  static_cast<PciDevice&>(o).set_rom_file(TRY(property_str(name, value, form)));
  return {};
}

}  // namespace

constexpr PropertyInfo PciDevice::kProperties[] = {
    {.name = "addr",
     .type = "int32",
     .description = "Slot and optional function number, example: 06.0 or 06",
     .get = get_addr,
     .set = set_addr,
     .print = print_addr},
    {.name = "multifunction",
     .type = "bool",
     .description = "on/off",
     .get = read_multifunction,
     .set = write_multifunction},
    {.name = "romfile", .type = "str", .get = read_rom_file, .set = write_rom_file, .has_default = false},
    prop<&PciDevice::rom_size>("romsize"),
    prop<&PciDevice::rom_bar>("rombar"),
    prop<&PciDevice::acpi_index>("acpi-index"),
};
static constexpr const char* kPciInterfaces[] = {"conventional-pci-device"};
constexpr TypeInfo PciDevice::kType{.name = "pci-device",
                                    .parent = &Device::kType,
                                    .properties = PciDevice::kProperties,
                                    .interfaces = kPciInterfaces};
constexpr TypeInfo PciBus::kType{.name = "PCI", .parent = &Bus::kType, .made_by_owner = true};

PciBus* PciDevice::pci_bus() const {
  return static_cast<PciBus*>(bus());
}

Result<> PciDevice::do_realize() {
  const PciIds ids = pci_ids();
  auto put16 = [&](uint8_t at, uint16_t v) { store_le<uint16_t>(&config_[at], v); };
  put16(pci::kVendorId, ids.vendor);
  put16(pci::kDeviceId, ids.device);
  config_[pci::kRevision] = ids.revision;
  config_[pci::kProgIf] = ids.prog_if;
  put16(pci::kClass, ids.class_id);
  put16(pci::kSubVendorId, ids.sub_vendor);
  put16(pci::kSubDeviceId, ids.sub_device);
  if (multifunction_ && (devfn_ & 7) == 0) config_[pci::kHeaderType] |= 0x80;
  store_le<uint16_t>(&wmask_[pci::kCommand], pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster |
                                                 pci::kCommandSerr | pci::kCommandIntxDisable);
  store_le<uint16_t>(&w1cmask_[pci::kStatus], 0xf900);
  wmask_[pci::kCacheLine] = 0xff;
  wmask_[pci::kInterruptLine] = 0xff;
  return load_rom();
}

/// 6.2.5.2: an enable bit and the address of a power of two, at least 2 KiB.
Result<> PciDevice::load_rom() {
  const std::string& name = rom_file();
  if (rom_size != UINT32_MAX && !std::has_single_bit(rom_size))
    return fail(EINVAL, "ROM size ", rom_size, " is not a power of two");
  if (name.empty()) return {};
  const std::string path = find_data_file(name);
  if (path.empty()) return fail(ENOENT, "failed to find romfile \"", name, "\"");
  std::vector<uint8_t> image = TRY(read_data_file(path, kMaxRomBytes));
  if (rom_size != UINT32_MAX && image.size() > rom_size)
    return fail(EINVAL, "romfile \"", name, "\" (", image.size(), " bytes) is too large for ROM size ",
                rom_size);
  if (rom_bar == 0) {
    firmware_rom_ = std::move(image);
    return {};
  }
  if (rom_size == UINT32_MAX)
    rom_size = static_cast<uint32_t>(std::bit_ceil(std::max<size_t>(image.size(), kMinRomBytes)));
  const uint32_t shown = std::max<uint32_t>(rom_size, kPageSize);  // memory comes in pages
  const std::string place = bus_path();
  auto block = TRY(RamBlock::create(str_cat(place, place.empty() ? "" : "/", type().name, ".rom"), shown));
  std::memcpy(block->host(), image.data(), image.size());
  bars_[kRomSlot] = Bar{.region = MemoryRegion::rom(str_cat(type().name, ".rom"), std::move(block))};
  store_le<uint32_t>(&wmask_[pci::kRomBar], ~(shown - 1) | pci::kRomEnable);
  return {};
}

void PciDevice::do_unrealize() {
  for (auto& bar : bars_) {
    if (bar.mapped) (bar.io ? pci_bus()->io() : pci_bus()->memory()).remove_subregion(*bar.region);
    bar = Bar{};
  }
  next_capability_ = 0x40;
  config_[pci::kCapPtr] = 0;
  set_intx(0);
}

void PciDevice::register_bar(int n, bool io, std::unique_ptr<MemoryRegion> region, bool prefetchable) {
  const uint64_t size = region->size();
  assert(size >= (io ? 4u : 16u) && (size & (size - 1)) == 0);
  const size_t at = pci::kBar0 + 4u * static_cast<size_t>(n);
  store_le<uint32_t>(&config_[at], io ? 1 : prefetchable ? 8 : 0);
  store_le<uint32_t>(&wmask_[at], static_cast<uint32_t>(~(size - 1)));
  bars_[static_cast<size_t>(n)] = Bar{.region = std::move(region), .io = io, .prefetchable = prefetchable};
}

void PciDevice::register_wide_bar(int n, std::unique_ptr<MemoryRegion> region) {
  const uint64_t size = region->size();
  register_bar(n, false, std::move(region), true);
  const size_t at = pci::kBar0 + 4u * static_cast<size_t>(n);
  config_[at] |= 4;
  store_le<uint32_t>(&wmask_[at + 4], static_cast<uint32_t>(~(size - 1) >> 32));
  bars_[static_cast<size_t>(n)].wide = true;
}

unsigned PciDevice::add_capability(uint8_t id, unsigned bytes) {
  const unsigned at = next_capability_;
  assert(bytes % 4 == 0 && at + bytes <= config_.size());
  next_capability_ += bytes;
  config_[at] = id;
  config_[at + 1] = config_[pci::kCapPtr];
  config_[pci::kCapPtr] = static_cast<uint8_t>(at);
  config_[pci::kStatus] |= pci::kStatusCapList;
  return at;
}

uint32_t PciDevice::config_read(unsigned offset, unsigned size) {
  uint32_t v = 0;
  for (unsigned i = 0; i < size; ++i) v |= uint32_t{config_[offset + i]} << (8 * i);
  return v;
}

void PciDevice::config_write(unsigned offset, uint32_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(value >> (8 * i));
    uint8_t& c = config_[offset + i];
    c = static_cast<uint8_t>((c & ~wmask_[offset + i]) | (byte & wmask_[offset + i]));
    c = static_cast<uint8_t>(c & ~(byte & w1cmask_[offset + i]));
  }
  config_changed(offset, size);
}

void PciDevice::config_changed(unsigned offset, unsigned size) {
  auto touches = [&](unsigned from, unsigned bytes) { return offset < from + bytes && from < offset + size; };
  if (touches(pci::kBar0, 24) || touches(pci::kRomBar, 4) || touches(pci::kCommand, 2)) update_bars();
  if (touches(pci::kCommand, 2)) update_intx();
}

void PciDevice::update_bars() {
  const MemoryTransaction transaction;
  for (size_t n = 0; n < bars_.size(); ++n)
    if (bars_[n].region != nullptr) map_bar(bars_[n], n == kRomSlot ? pci::kRomBar : pci::kBar0 + 4 * n);
}

void PciDevice::map_bar(Bar& bar, size_t at) {
  const uint16_t command = load_le<uint16_t>(&config_[pci::kCommand]);
  const uint32_t raw = load_le<uint32_t>(&config_[at]);
  const bool rom = at == pci::kRomBar;
  const uint64_t upper = bar.wide ? uint64_t{load_le<uint32_t>(&config_[at + 4])} << 32 : 0;
  const uint64_t address = upper | (raw & (bar.io ? ~3u : rom ? ~0x7ffu : ~15u));
  const bool decoded = !hidden_ && (command & (bar.io ? pci::kCommandIo : pci::kCommandMemory)) != 0 &&
                       (!rom || (raw & pci::kRomEnable) != 0);
  // Address 0 and the top of the space are what a guest writes while it sizes the BAR.
  const uint64_t last = address + bar.region->size() - 1;
  const uint64_t top = bar.io ? 0xffff : bar.wide && upper != 0 ? kWideTop : 0xfffffffe;
  const bool valid = decoded && address != 0 && address <= last && last <= top;
  const uint64_t target = valid ? address : UINT64_MAX;
  if (target == bar.address) return;
  MemoryRegion& space = bar.io ? pci_bus()->io() : pci_bus()->memory();
  if (bar.mapped) space.remove_subregion(*bar.region);
  bar.address = target;
  bar.mapped = valid;
  if (valid) space.add_subregion(address, *bar.region, 1);
}

void PciDevice::hide() {
  hidden_ = true;
  update_intx();
  update_bars();
}

void PciDevice::set_intx(int level) {
  intx_level_ = level != 0;
  update_intx();
}

void PciDevice::update_intx() {
  uint16_t status = load_le<uint16_t>(&config_[pci::kStatus]);
  status = static_cast<uint16_t>(intx_level_ != 0 ? status | pci::kStatusInterrupt
                                                  : status & ~pci::kStatusInterrupt);
  store_le<uint16_t>(&config_[pci::kStatus], status);
  const bool disabled = (load_le<uint16_t>(&config_[pci::kCommand]) & pci::kCommandIntxDisable) != 0;
  const int driven = hidden_ || disabled || config_[pci::kInterruptPin] == 0 ? 0 : intx_level_;
  if (driven == intx_driven_ || pci_bus() == nullptr) return;
  intx_driven_ = driven;
  pci_bus()->set_intx(*this, config_[pci::kInterruptPin] - 1, driven);
}

bool PciDevice::bus_master() const {
  return !hidden_ && (load_le<uint16_t>(&config_[pci::kCommand]) & pci::kCommandMaster) != 0;
}

MemResult PciDevice::dma_read(GuestAddr addr, void* out, uint64_t bytes) {
  return bus_master() ? memory_space().read(addr, out, bytes) : MemResult::kRefused;
}

MemResult PciDevice::dma_write(GuestAddr addr, const void* data, uint64_t bytes) {
  return bus_master() ? memory_space().write(addr, data, bytes) : MemResult::kRefused;
}

void PciDevice::reset() {
  set_intx(0);
  // Registers the guest can write go back to zero; BARs keep their type bits.
  for (size_t i = 0; i < config_.size(); ++i)
    config_[i] = static_cast<uint8_t>(config_[i] & ~wmask_[i] & ~w1cmask_[i]);
  update_bars();
}

std::string PciDevice::fw_name() const {
  std::string out = str_cat("pci1af4,1@", hex(static_cast<uint64_t>(devfn_ >> 3)));
  if ((devfn_ & 7) != 0) str_append(out, ",", devfn_ & 7);
  return out;
}

void PciDevice::describe(std::string& out) const {
  auto word = [this](unsigned at) { return hex(load_le<uint16_t>(&config_[at]), 4); };
  const uint16_t class_id = load_le<uint16_t>(&config_[pci::kClass]);
  const char* text = pci_class_description(class_id);
  str_append(out, "class ", text != nullptr ? std::string(text) : str_cat("Class ", hex(class_id, 4)),
             ", addr 00:", print_addr(*this), ", pci id ", word(pci::kVendorId), ":", word(pci::kDeviceId),
             " (sub ", word(pci::kSubVendorId), ":", word(pci::kSubDeviceId), ")\n");
  for (size_t n = 0; n < bars_.size(); ++n)
    if (const Bar& bar = bars_[n]; bar.region != nullptr)
      str_append(out, "bar ", n, ": ", bar.io ? "i/o" : "mem", " at 0x", hex(bar.address), " [0x",
                 hex(bar.address + bar.region->size() - 1), "]\n");
}

// QEMU's "PCIDevice": version 2, the configuration space behind its length, four INTx levels.
constexpr size_t kHeaderBytes = 0x40;  // both sides must agree on what is read-only here
constexpr VMStateField kPciFields[] = {
    {.name = "version_id",
     .save = [](const void*, StateWriter& out, const VMStateField&) { out.put_be32(2); },
     .load = [](void*, StateReader& in, const VMStateField&, int) -> Result<> {
       const uint32_t v = in.get_be32();
       if (v == 0 || v > 2) return fail(EINVAL, "unknown version ", v);
       return {};
     }},
    {.name = "config",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           out.put_bytes({static_cast<const PciDevice*>(o)->config(), 256});
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       auto* device = static_cast<PciDevice*>(o);
       std::array<uint8_t, 256> incoming;
       in.get_bytes(incoming);
       for (size_t i = 0; i < incoming.size(); ++i) {
         const auto fixed = static_cast<uint8_t>(~(device->write_mask()[i] | device->clear_mask()[i]));
         const bool status = i == pci::kStatus || i == pci::kStatus + 1;
         if (i < kHeaderBytes && !status && ((incoming[i] ^ device->config()[i]) & fixed) != 0)
           return fail(EINVAL, "byte 0x", hex(i), " is 0x", hex(incoming[i], 2), " and here 0x",
                       hex(device->config()[i], 2));
       }
       std::copy(incoming.begin(), incoming.end(), device->config());
       return {};
     }},
    {.name = "irq_state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           const auto* device = static_cast<const PciDevice*>(o);
           const uint8_t pin = device->config()[pci::kInterruptPin];
           const bool up = (load_le<uint16_t>(device->config() + pci::kStatus) & pci::kStatusInterrupt) != 0;
           for (uint8_t i = 1; i <= 4; ++i) out.put_be32(up && i == pin ? 1 : 0);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       int level = 0;
       for (int i = 0; i < 4; ++i) {
         const uint32_t v = in.get_be32();
         if (v > 1) return fail(EINVAL, "level ", v);
         level |= static_cast<int>(v);
       }
       static_cast<PciDevice*>(o)->set_intx(level);
       return {};
     }},
};

constexpr VMState PciDevice::kPciVmState{.name = "PCIDevice",
                                         .version = 2,
                                         .minimum_version = 1,
                                         .fields = kPciFields,
                                         .post_load = [](void* o, int) -> Result<> {
                                           static_cast<PciDevice*>(o)->update_bars();
                                           return {};
                                         }};

}  // namespace rhea
