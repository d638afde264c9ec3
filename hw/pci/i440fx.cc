#include "hw/pci/i440fx.h"

namespace rhea {

namespace {

constexpr unsigned kPam0 = 0x59, kPamLast = 0x5f, kSmram = 0x72;
// SMRAM register, 3.2.20.
constexpr uint8_t kSmramOpen = 0x40, kSmramClosed = 0x20, kSmramLock = 0x10, kSmramEnable = 0x08;

struct Window {
  GuestAddr start;
  uint32_t size;
  unsigned reg;    // configuration offset
  unsigned shift;  // of the attribute in it
};
// 3.2.18: PAM0 covers the F segment in one piece, PAM1..PAM6 the rest in 16 KiB pieces, two a register.
constexpr Window window(int n) {
  if (n == 0) return {0xf0000, 0x10000, kPam0, 4};
  const auto piece = static_cast<unsigned>(n - 1);
  return {0xc0000 + piece * 0x4000u, 0x4000, kPam0 + 1 + piece / 2, piece % 2 * 4};
}

std::shared_ptr<Object> make_bridge() {
  return std::make_shared<I440fx>();
}
std::shared_ptr<Object> make_host() {
  return std::make_shared<I440fxPciHost>();
}

}  // namespace

constexpr TypeInfo I440fx::kType{.name = "i440FX",
                                 .parent = &PciDevice::kType,
                                 .create = make_bridge,
                                 .description = "Host bridge",
                                 .category = DeviceCategory::kBridge};
static constexpr const char* kHostInterfaces[] = {"fw-path-provider"};
static constexpr TypeInfo kPciHostBridgeType{.name = "pci-host-bridge",
                                             .parent = &Device::kSysBusType,
                                             .interfaces = kHostInterfaces,
                                             .category = DeviceCategory::kBridge};
constexpr TypeInfo I440fxPciHost::kType{
    .name = "i440FX-pcihost", .parent = &kPciHostBridgeType, .create = make_host};

PciIds I440fx::pci_ids() const {
  return {.vendor = 0x8086, .device = 0x1237, .revision = 2, .class_id = 0x0600};
}

void I440fx::PamWindow::place(I440fx& bridge, GuestAddr start, uint64_t size) {
  bridge_ = &bridge;
  start_ = start;
  ram_ = MemoryRegion::alias("pam-ram", *bridge.ram, start, size);
  pci_ = MemoryRegion::alias("pam-pci", *bridge.pci_memory, start, size);
  write_only_ = MemoryRegion::io("pam-write-only", size, *this);
  nothing_ = MemoryRegion::io("pam-nothing", size, no_device_);
  for (auto* region : {ram_.get(), pci_.get(), write_only_.get(), nothing_.get()}) {
    region->set_enabled(false);
    bridge.system->add_subregion(start, *region, region == nothing_.get() ? 1 : 2);
  }
}

void I440fx::PamWindow::remove() {
  for (auto* region : {&ram_, &pci_, &write_only_, &nothing_}) region->reset();
}

void I440fx::PamWindow::set(unsigned attribute) {
  ram_->set_readonly((attribute & 2) == 0);
  ram_->set_enabled((attribute & 1) != 0);
  write_only_->set_enabled(attribute == 2);
  pci_->set_enabled(attribute == 0);
  nothing_->set_enabled(attribute == 0);
}

uint64_t I440fx::PamWindow::mmio_read(uint64_t offset, unsigned size) {
  return bridge_->pci_space_->load(start_ + offset, size);
}

void I440fx::PamWindow::mmio_write(uint64_t offset, uint64_t value, unsigned size) {
  bridge_->ram_space_->store(start_ + offset, value, size);
}

Result<> I440fx::do_realize() {
  TRY(PciDevice::do_realize());
  const MemoryTransaction transaction;
  // The VGA range shows PCI, not the RAM below it.
  vga_window_ = MemoryRegion::alias("smram-region", *pci_memory, 0xa0000, 0x20000);
  system->add_subregion(0xa0000, *vga_window_, 1);
  for (int n = 0; n < kWindows; ++n)
    pam_[static_cast<size_t>(n)].place(*this, window(n).start, window(n).size);
  for (unsigned at = kPam0; at <= kPamLast; ++at) write_mask()[at] = 0x33;
  write_mask()[0x57] = write_mask()[0x58] = 0xff;
  reset();
  return {};
}

void I440fx::do_unrealize() {
  for (auto& w : pam_) w.remove();
  vga_window_.reset();
  pci_space_.reset();
  ram_space_.reset();
  PciDevice::do_unrealize();
}

void I440fx::reset() {
  PciDevice::reset();
  config()[kSmram] = 0x02;
  write_mask()[kSmram] = kSmramOpen | kSmramClosed | kSmramLock | kSmramEnable;
  config()[0x57] = 0x01;
  config()[0x58] = 0x10;
  update_pam();
  update_smram();
}

void I440fx::config_changed(unsigned offset, unsigned size) {
  PciDevice::config_changed(offset, size);
  if (offset <= kPamLast && offset + size > kPam0) update_pam();
  if (offset <= kSmram && offset + size > kSmram) update_smram();
}

void I440fx::update_smram() {
  uint8_t& smram = config()[kSmram];
  if ((smram & kSmramLock) != 0) {  // until the next reset
    smram &= static_cast<uint8_t>(~kSmramOpen);
    write_mask()[kSmram] = kSmramClosed;
  }
  vga_window_->set_enabled((smram & kSmramOpen) == 0);
}

void I440fx::update_pam() {
  const MemoryTransaction transaction;
  for (int n = 0; n < kWindows; ++n) {
    const unsigned attribute = config()[window(n).reg] >> window(n).shift & 3;
    if (attribute == 2 && pci_space_ == nullptr) {
      pci_space_ = std::make_unique<AddressSpace>("pci", *pci_memory);
      ram_space_ = std::make_unique<AddressSpace>("pam-ram", *ram);
    }
    pam_[static_cast<size_t>(n)].set(attribute);
  }
}

constexpr VMStateField kI440fxFields[] = {
    {.name = "PCIDevice",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(PciDevice::kPciVmState,
                        const_cast<PciDevice*>(static_cast<const PciDevice*>(static_cast<const I440fx*>(o))),
                        out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       return vmstate_load(PciDevice::kPciVmState, static_cast<PciDevice*>(static_cast<I440fx*>(o)), in,
                           PciDevice::kPciVmState.version);
     }},
    padding(1),  // once the SMM state
};
constexpr VMState I440fx::kVmState{.name = "I440FX",
                                   .version = 3,
                                   .minimum_version = 3,
                                   .fields = kI440fxFields,
                                   .post_load = [](void* o, int) -> Result<> {
                                     static_cast<I440fx*>(o)->update_pam();
                                     static_cast<I440fx*>(o)->update_smram();
                                     return {};
                                   }};
const VMState* I440fx::vmstate() const {
  return &kVmState;
}

Result<> I440fxPciHost::do_realize() {
  bus_ = std::make_shared<PciBus>("pci.0", *pci_memory, *io);
  add_bus(bus_);
  address_region_ = MemoryRegion::io("pci-conf-idx", 4, address_io_,
                                     {.valid_min = 1, .valid_max = 4, .impl_min = 1, .impl_max = 4});
  data_region_ = MemoryRegion::io("pci-conf-data", 4, data_io_, {.valid_max = 4, .impl_max = 4});
  io->add_subregion(0xcf8, *address_region_);
  io->add_subregion(0xcfc, *data_region_);
  return {};
}

uint64_t I440fxPciHost::address_read(uint64_t offset, unsigned size) {
  return offset == 0 && size == 4 ? config_address : UINT64_MAX;
}

void I440fxPciHost::address_write(uint64_t offset, uint64_t value, unsigned size) {
  // Only a double word reaches CONFIG_ADDRESS; smaller ones pass to other ports in that range.
  if (offset == 0 && size == 4) config_address = static_cast<uint32_t>(value);
}

/// Bits 1:0 of CONFIG_ADDRESS should be zero; programs that leave them set and read the first port mean those
/// bytes.
uint64_t I440fxPciHost::data_read(uint64_t offset, unsigned size) {
  if ((config_address & 0x8000'0000) == 0) return UINT64_MAX;
  return bus_->config_read((config_address & 0xff'ffff) | static_cast<uint32_t>(offset), size);
}

void I440fxPciHost::data_write(uint64_t offset, uint64_t value, unsigned size) {
  if ((config_address & 0x8000'0000) == 0) return;
  bus_->config_write((config_address & 0xff'ffff) | static_cast<uint32_t>(offset),
                     static_cast<uint32_t>(value), size);
}

constexpr VMStateField kHostFields[] = {
    {.name = "config_reg",
     .save = [](const void* o, StateWriter& out,
                const VMStateField&) { out.put_be32(static_cast<const I440fxPciHost*>(o)->config_address); },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       static_cast<I440fxPciHost*>(o)->config_address = in.get_be32();
       return {};
     }},
};
constexpr VMState I440fxPciHost::kVmState{.name = "PCIHost", .version = 1, .fields = kHostFields};
const VMState* I440fxPciHost::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
