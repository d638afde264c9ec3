#include "hw/misc/pvpanic.h"

#include "qapi/vm_control.h"
#include "util/log.h"

namespace rhea {

namespace {
constexpr AccessRules kByte{.impl_min = 1, .impl_max = 1};

constexpr uint64_t kSmallestMemoryBar = 16;  // PCI 3.0, 6.2.5.1
constexpr uint64_t kRegisterBytes = 2;       // of it, the register shows in the first two

constexpr PropertyInfo kIsaProperties[] = {prop<&IsaPvpanic::ioport>("ioport"),
                                           prop<&IsaPvpanic::events>("events")};
constexpr PropertyInfo kPciProperties[] = {prop<&PciPvpanic::events>("events")};

constexpr VMStateField kPciFields[] = {pci_device_field<PciPvpanic>("dev")};
constexpr VMState kPciVmState{.name = "pvpanic-pci", .version = 1, .fields = kPciFields};
}  // namespace

void PvpanicPort::write(uint8_t events) const {
  if ((events & ~(kPanicked | kCrashLoaded)) != 0)
    log_guest_error(str_cat("pvpanic: unknown event 0x", hex(events)));
  if (vm == nullptr) return;
  if ((events & kPanicked) != 0)
    vm->guest_panicked(std::nullopt);
  else if ((events & kCrashLoaded) != 0)
    vm->guest_crashloaded(std::nullopt);
}

// --- ISA

constexpr TypeInfo IsaPvpanic::kType{
    .name = "pvpanic",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<IsaPvpanic>(); },
    .properties = kIsaProperties,
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

CoResult<> IsaPvpanic::co_prepare(DeviceContext& context) {
  port.vm = context.vm;
  co_return Result<>();
}

Result<> IsaPvpanic::do_realize() {
  add_ports(ioport, 1, io_, "pvpanic", kByte);
  return {};
}

// --- PCI

constexpr TypeInfo PciPvpanic::kType{
    .name = "pvpanic-pci",
    .parent = &PciDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PciPvpanic>(); },
    .properties = kPciProperties,
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

PciIds PciPvpanic::pci_ids() const {
  return {.vendor = 0x1b36, .device = 0x0011, .revision = 1, .class_id = 0x0880};
}

CoResult<> PciPvpanic::co_prepare(DeviceContext& context) {
  port.vm = context.vm;
  co_return Result<>();
}

Result<> PciPvpanic::do_realize() {
  TRY(PciDevice::do_realize());
  register_bar(0, false, MemoryRegion::io("pvpanic", kSmallestMemoryBar, io_, kByte));
  return {};
}

uint64_t PciPvpanic::io_read(uint64_t offset, unsigned) {
  return offset < kRegisterBytes ? events : 0;
}

void PciPvpanic::io_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset < kRegisterBytes) port.write(static_cast<uint8_t>(value));
}

const VMState* PciPvpanic::vmstate() const {
  return &kPciVmState;
}

}  // namespace rhea
