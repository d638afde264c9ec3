#include "hw/acpi/piix4_pm.h"

#include "util/byteorder.h"

namespace rhea {

namespace {
constexpr unsigned kPmba = 0x40;       // PM base address, bits 15:6
constexpr unsigned kDevActB3 = 0x5b;   // DEVACTB bits 31:24; bit 1 is APMC_EN
constexpr unsigned kPmRegMisc = 0x80;  // bit 0: PM I/O space enable
constexpr unsigned kSmbba = 0x90;      // SMBus base address, bits 15:4
constexpr unsigned kSmbHostConfig = 0xd2;
constexpr uint8_t kSmbEnable = 0x01, kSmbIrq9 = 0x08;
constexpr uint64_t kGpeBase = 0xafe0;
constexpr uint64_t kAcpiEnable = 0xf1, kAcpiDisable = 0xf0;  // as the FADT says
std::shared_ptr<Object> make() {
  return std::make_shared<Piix4Pm>();
}
}  // namespace

constexpr PropertyInfo Piix4Pm::kProperties[] = {
    prop<&Piix4Pm::disable_s3>("disable_s3"),
    prop<&Piix4Pm::disable_s4>("disable_s4"),
    prop<&Piix4Pm::s4_val>("s4_val"),
    prop<&Piix4Pm::smb_io_base>("smb_io_base"),
    prop<&Piix4Pm::hotplug_behind_bridges>("acpi-pci-hotplug-with-bridge-support"),
    prop<&Piix4Pm::hotplug_on_root>("acpi-root-pci-hotplug"),
    prop<&Piix4Pm::not_migrate_acpi_index>("x-not-migrate-acpi-index"),
};
constexpr TypeInfo Piix4Pm::kType{.name = "PIIX4_PM",
                                  .parent = &PciDevice::kType,
                                  .create = make,
                                  .properties = Piix4Pm::kProperties,
                                  .description = "PM"};

PciIds Piix4Pm::pci_ids() const {
  return {.vendor = 0x8086, .device = 0x7113, .revision = 3, .class_id = 0x0680};
}

Result<> Piix4Pm::do_realize() {
  TRY(PciDevice::do_realize());
  config()[pci::kInterruptPin] = 1;
  write_mask()[kPmba + 0] = 0xc0;
  write_mask()[kPmba + 1] = 0xff;
  write_mask()[kPmRegMisc] = 0x01;
  for (unsigned at = 0x58; at < 0x5c; ++at) write_mask()[at] = 0xff;
  write_mask()[kSmbba + 0] = 0xf0;
  write_mask()[kSmbba + 1] = 0xff;
  write_mask()[kSmbHostConfig] = 0x0f;
  acpi_ =
      std::make_unique<AcpiFixedHardware>(*loop, *clock, sci, [this](unsigned type) { enter_sleep(type); });
  acpi_->on_timer = [this] {
    if (on_wake_event) on_wake_event(WakeupReason::kPmTimer);
  };
  pm_window_ = MemoryRegion::container("piix4-pm", 64);
  acpi_->map_registers(*pm_window_);
  pm_window_->set_enabled(false);
  pci_bus()->io().add_subregion(0, *pm_window_);
  acpi_->map_gpe(pci_bus()->io(), kGpeBase);
  apm_region_ = MemoryRegion::io("apm-io", 2, apm_io_, {.valid_max = 1, .impl_max = 1});
  pci_bus()->io().add_subregion(0xb2, *apm_region_);
  smbus_ = std::make_shared<I2cBus>("i2c");
  add_bus(smbus_);
  smbus_host_ = std::make_unique<SmbusHost>(*smbus_);
  smbus_window_ = MemoryRegion::io("pm-smbus", SmbusHost::kBytes, smbus_io_, {.valid_max = 1, .impl_max = 1});
  smbus_window_->set_enabled(false);
  pci_bus()->io().add_subregion(0, *smbus_window_);
  reset();
  if (!hotplug_behind_bridges && !hotplug_on_root) return {};
  pci_hotplug = std::make_unique<AcpiPciHotplug>(
      *pci_bus(), AcpiPciHotplug::Kind{.bridges = hotplug_behind_bridges, .root = hotplug_on_root},
      AcpiPciHotplug::Wiring{
          .raise_gpe = [this] { acpi_->raise_gpe(AcpiPciHotplug::kGpe); },
          .told =
              [this](PciDevice& d) {
                if (on_unplug_told) on_unplug_told(d);
              },
          .eject =
              [this](PciDevice& d) {
                if (on_eject) on_eject(d);
              },
      });
  pci_hotplug->map(pci_bus()->io());
  return {};
}

void Piix4Pm::do_unrealize() {
  pci_hotplug.reset();
  cpu_hotplug.reset();
  memory_hotplug.reset();
  acpi_.reset();
  pm_window_.reset();
  apm_region_.reset();
  smbus_window_.reset();
  smbus_host_.reset();
  PciDevice::do_unrealize();
}

void Piix4Pm::reset() {
  PciDevice::reset();
  config()[pci::kStatus] = 0x80;
  config()[pci::kStatus + 1] = 0x02;
  config()[kPmba] = 0x01;
  config()[0x5f] = 0x10;
  config()[0x63] = 0x60;
  config()[0x67] = serial_ports == 0 ? 0 : serial_ports == 1 ? 0x08 : 0x98;
  config()[kSmbba + 0] = static_cast<uint8_t>((smb_io_base & 0xf0) | 1);  // I/O space
  config()[kSmbba + 1] = static_cast<uint8_t>(smb_io_base >> 8);
  config()[kSmbHostConfig] = smb_io_base != 0 ? kSmbIrq9 | kSmbEnable : 0;
  // No SMM: to the firmware its handler looks set up already.
  config()[kDevActB3] = 0x02;
  apm_control = apm_status = 0;
  acpi_->reset();
  smbus_host_->reset();
  update_windows();
}

void Piix4Pm::reset_exit() {
  if (pci_hotplug != nullptr) pci_hotplug->reset();
}

void Piix4Pm::config_changed(unsigned offset, unsigned size) {
  PciDevice::config_changed(offset, size);
  if (smbus_window_ != nullptr) update_windows();
}

void Piix4Pm::update_windows() {
  const MemoryTransaction transaction;
  const uint64_t base = load_le<uint16_t>(config() + kPmba) & 0xffc0u;
  pm_window_->set_offset(base);
  pm_window_->set_enabled((config()[kPmRegMisc] & 1) != 0);
  smbus_window_->set_offset(load_le<uint16_t>(config() + kSmbba) & 0xfff0u);
  smbus_window_->set_enabled((config()[kSmbHostConfig] & kSmbEnable) != 0);
}

uint64_t Piix4Pm::apm_read(uint64_t offset, unsigned) {
  return offset == 0 ? apm_control : apm_status;
}

void Piix4Pm::apm_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == 1) {
    apm_status = static_cast<uint8_t>(value);
    return;
  }
  apm_control = static_cast<uint8_t>(value);
  if (value == kAcpiEnable)
    acpi_->set_sci_enabled(true);
  else if (value == kAcpiDisable)
    acpi_->set_sci_enabled(false);
}

void Piix4Pm::enter_sleep(unsigned sleep_type) {
  if (sleep_type == 0) {
    if (on_soft_off) on_soft_off();
  } else if (sleep_type == 1 && disable_s3 == 0) {
    if (on_suspend) on_suspend();
  } else if (sleep_type == s4_val && disable_s4 == 0) {
    if (on_suspend_disk) on_suspend_disk();
  }
}

namespace {

/// A field that lives behind a function of the device: `Ref` gives a reference to it.
template <auto Ref>
constexpr VMStateField ref_field(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                detail::vm_save_value(Ref(*const_cast<Piix4Pm*>(static_cast<const Piix4Pm*>(o))), out);
              },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(Ref(*static_cast<Piix4Pm*>(o)), in);
            return {};
          }};
}

/// "acpi_pci_hotplug": with bridges the selected bus, all 256 of them, and the index that waits to be read
/// unless the machine is an older one's; else the root's slots alone.
void save_slots(const PciHotplugSlots& s, StateWriter& out) {
  out.put_be32(s.up);
  out.put_be32(s.down);
}

void save_pci_hotplug(const void* o, StateWriter& out, const VMStateField&) {
  const auto& pm = *static_cast<const Piix4Pm*>(o);
  const PciHotplugSlots none;
  const AcpiPciHotplug* hotplug = pm.pci_hotplug.get();
  if (!pm.hotplug_behind_bridges) return save_slots(hotplug != nullptr ? hotplug->slots[0] : none, out);
  out.put_be32(hotplug->selected);
  for (const PciHotplugSlots& s : hotplug->slots) save_slots(s, out);
  if (!pm.not_migrate_acpi_index) out.put_be32(hotplug->acpi_index);
}

Result<> load_pci_hotplug(void* o, StateReader& in, const VMStateField&, int) {
  auto& pm = *static_cast<Piix4Pm*>(o);
  auto load = [&in] {
    PciHotplugSlots s;
    s.up = in.get_be32();
    s.down = in.get_be32();
    return s;
  };
  AcpiPciHotplug* hotplug = pm.pci_hotplug.get();
  if (!pm.hotplug_behind_bridges) {
    const PciHotplugSlots root = load();
    if (hotplug != nullptr) hotplug->slots[0] = root;
    return {};
  }
  hotplug->selected = in.get_be32();
  for (PciHotplugSlots& s : hotplug->slots) s = load();
  if (!pm.not_migrate_acpi_index) hotplug->acpi_index = in.get_be32();
  return {};
}

constexpr VMStateField kPmFields[] = {
    {.name = "PCIDevice",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(PciDevice::kPciVmState,
                        const_cast<PciDevice*>(static_cast<const PciDevice*>(static_cast<const Piix4Pm*>(o))),
                        out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       return vmstate_load(PciDevice::kPciVmState, static_cast<PciDevice*>(static_cast<Piix4Pm*>(o)), in,
                           PciDevice::kPciVmState.version);
     }},
    ref_field<+[](Piix4Pm& pm) -> uint16_t& { return pm.acpi().state.status; }>("ar.pm1.evt.sts"),
    ref_field<+[](Piix4Pm& pm) -> uint16_t& { return pm.acpi().state.enable; }>("ar.pm1.evt.en"),
    ref_field<+[](Piix4Pm& pm) -> uint16_t& { return pm.acpi().state.control; }>("ar.pm1.cnt.cnt"),
    ref_field<+[](Piix4Pm& pm) -> uint8_t& { return pm.apm_control; }>("apm.apmc"),
    ref_field<+[](Piix4Pm& pm) -> uint8_t& { return pm.apm_status; }>("apm.apms"),
    {.name = "smb",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(SmbusHost::kVmState,
                        &const_cast<Piix4Pm*>(static_cast<const Piix4Pm*>(o))->smbus_host().state, out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       return vmstate_load(SmbusHost::kVmState, &static_cast<Piix4Pm*>(o)->smbus_host().state, in, 1);
     },
     .nested = &SmbusHost::kVmState},
    {.name = "ar.tmr.timer",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           auto& pm = *const_cast<Piix4Pm*>(static_cast<const Piix4Pm*>(o));
           out.put_be64(static_cast<uint64_t>(pm.acpi().overflow_deadline_ns()));
         },
     // What follows says it all.
     .load = [](void*, StateReader& in, const VMStateField&, int) -> Result<> {
       in.get_be64();
       return {};
     }},
    ref_field<+[](Piix4Pm& pm) -> int64_t& { return pm.acpi().state.overflow_ticks; }>(
        "ar.tmr.overflow_time"),
    {.name = "ar.gpe",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(AcpiFixedHardware::kGpeVmState,
                        &const_cast<Piix4Pm*>(static_cast<const Piix4Pm*>(o))->acpi(), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       return vmstate_load(AcpiFixedHardware::kGpeVmState, &static_cast<Piix4Pm*>(o)->acpi(), in, 1);
     }},
    {.name = "acpi_pci_hotplug", .save = save_pci_hotplug, .load = load_pci_hotplug},
};
/// A board without slots sends what one with none of them does: a selector.
constexpr VMStateField kPmMemoryFields[] = {
    {.name = "acpi_memory_hotplug",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           MemoryHotplug* hotplug = static_cast<const Piix4Pm*>(o)->memory_hotplug.get();
           if (hotplug == nullptr) return out.put_be32(0);
           vmstate_save(MemoryHotplug::kVmState, hotplug, out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       MemoryHotplug* hotplug = static_cast<Piix4Pm*>(o)->memory_hotplug.get();
       if (hotplug != nullptr)
         return vmstate_load(MemoryHotplug::kVmState, hotplug, in, MemoryHotplug::kVmState.version);
       in.get_be32();
       return {};
     }}};
constexpr VMState kMemoryHotplug{.name = "piix4_pm/memhp", .version = 1, .fields = kPmMemoryFields};

/// With the legacy interface there is nothing that the processors themselves do not tell.
constexpr VMStateField kCpuHotplugFields[] = {
    {.name = "cpuhp_state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(CpuHotplug::kVmState, static_cast<const Piix4Pm*>(o)->cpu_hotplug.get(), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       CpuHotplug* hotplug = static_cast<Piix4Pm*>(o)->cpu_hotplug.get();
       if (hotplug == nullptr) return fail(EINVAL, "the machine has no CPU hotplug");
       TRY(vmstate_load(CpuHotplug::kVmState, hotplug, in, CpuHotplug::kVmState.version));
       hotplug->switch_to_modern();
       return {};
     }}};
constexpr VMState kCpuHotplugState{
    .name = "piix4_pm/cpuhp", .version = 1, .fields = kCpuHotplugFields, .needed = [](const void* o) {
      const auto* pm = static_cast<const Piix4Pm*>(o);
      return pm->cpu_hotplug != nullptr && !pm->cpu_hotplug->legacy();
    }};
constexpr const VMState* kPmSubsections[] = {&kMemoryHotplug, &kCpuHotplugState};

Result<> check_overflow(int64_t ticks) {
  if (ticks >= 0 && ticks <= INT64_MAX / 1000) return {};  // in ns it still fits
  return fail(EINVAL, "timer overflows at tick ", ticks);
}

}  // namespace

constexpr VMState Piix4Pm::kVmState{.name = "piix4_pm",
                                    .version = 3,
                                    .minimum_version = 3,
                                    .fields = kPmFields,
                                    .subsections = kPmSubsections,
                                    .post_load = [](void* o, int) -> Result<> {
                                      auto* pm = static_cast<Piix4Pm*>(o);
                                      TRY(check_overflow(pm->acpi().state.overflow_ticks));
                                      pm->update_windows();
                                      pm->acpi().update();
                                      if (pm->pci_hotplug == nullptr || !pm->on_unplug_asked) return {};
                                      for (PciDevice* d : pm->pci_hotplug->asked()) pm->on_unplug_asked(*d);
                                      return {};
                                    }};
const VMState* Piix4Pm::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
