#include "hw/i386/pc.h"

#include <algorithm>
#include <map>

#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/vmgenid.h"
#include "hw/char/debugcon.h"
#include "hw/char/serial.h"
#include "hw/core/unplug.h"
#include "hw/display/vga_pci.h"
#include "hw/dma/i8257.h"
#include "hw/floppy/isa_fdc.h"
#include "hw/i2c/smbus_eeprom.h"
#include "hw/i386/fw_cfg_setup.h"
#include "hw/i386/gsi_router.h"
#include "hw/i386/pc_build.h"
#include "hw/ide/piix3_ide.h"
#include "hw/isa/piix3.h"
#include "hw/mem/pc_dimm.h"
#include "hw/misc/port92.h"
#include "hw/misc/pvpanic.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci_bridge.h"
#include "hw/rtc/mc146818.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/pcspk.h"
#include "qapi/qapi_events_machine.h"
#include "qapi/qapi_events_runstate.h"
#include "qapi/vm_control.h"
#include "target/i386/cpu_slots.h"
#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr unsigned kSciIrq = 9;
constexpr uint16_t kFirstSerialPort = 0x3f8;

/// One more than the largest APIC id.
uint16_t apic_id_limit() {
  uint32_t limit = 0;
  for (const CpuSlot& slot : cpu_slots().list) limit = std::max(limit, slot.place.apic_id + 1);
  return static_cast<uint16_t>(limit);
}

/// The first device of this class; null if there is none.
template <class T>
T* find_device(Object& root) {
  T* found = nullptr;
  for_each_device(root, [&](Device& d) {
    if (found == nullptr) found = dynamic_cast<T*>(&d);
  });
  return found;
}

/// Firmware paths of the devices with a boot index, lowest first.
Result<std::vector<std::string>> boot_paths(Object& root) {
  std::map<int32_t, std::string> found;
  bool twice = false;
  int32_t which = 0;
  for_each_device(root, [&](Device& d) {
    if (d.boot_index() < 0 || found.emplace(d.boot_index(), firmware_path(d)).second) return;
    twice = true;
    which = d.boot_index();
  });
  if (twice) return fail(EINVAL, "The bootindex ", which, " has already been used");
  std::vector<std::string> out;
  out.reserve(found.size());
  for (auto& [index, path] : found) out.push_back(std::move(path));
  return out;
}

constexpr uint32_t kSmbusBase = 0xb100;
constexpr uint8_t kFirstModule = 0x50, kMemoryModules = 8;  // serial presence detects

/// Whether the kernel's 8254 drives interrupt 0.
void enable_kernel_pit(KernelIrqchip& chip, bool on) {
  constexpr uint32_t kHpetLegacy = 1;
  Result<KernelPitState> state = chip.get_pit();
  Result<> set = state ? Result<>() : Result<>(Failure(state.error()));
  if (state) {
    state->flags = on ? state->flags & ~kHpetLegacy : state->flags | kHpetLegacy;
    set = chip.set_pit(*state);
  }
  if (!set) error_report(set.error());
}

}  // namespace

void PcMachine::apply_compatibility() {
  for (const PcVersion& v : pc_versions()) {
    add_compat_properties(v.changes);
    if (&v == &version_) break;
  }
  X86Cpu::kvm_defaults() = {.x2apic = version_.kvm_x2apic, .hides_svm = version_.kvm_hides_svm};
}

PcMachine::~PcMachine() {
  X86Cpu::set_plug_handler(nullptr);
  memory_devices().clear();
}

CoResult<> PcMachine::co_build_chipset(MachineContext& context) {
  VmControl& vm = context.vm;
  std::function<void(I440fxPciHost&)> wire_host = [this](I440fxPciHost& d) {
    d.pci_memory = pci_memory_.get();
    d.io = &system_io();
  };
  host_ = co_await or_return(co_await co_add<I440fxPciHost>(context, nullptr, wire_host));
  std::function<void(I440fx&)> wire_bridge = [this](I440fx& d) {
    d.ram = ram_.get();
    d.system = &system_memory();
    d.pci_memory = pci_memory_.get();
    d.set_devfn(pci::devfn(0, 0));
  };
  co_await or_return(co_await co_add<I440fx>(context, &pci(), wire_bridge));
  std::function<void(Piix3&)> wire_isa = [this, &vm](Piix3& d) {
    std::copy_n(gsi_.begin(), 16, d.isa_irqs.begin());
    d.on_reset_request = [&vm] { vm.request_reset(ShutdownCause::kGuestReset); };
    d.set_devfn(pci::devfn(1, 0));
  };
  isa_bridge_ = co_await or_return(co_await co_add<Piix3>(context, &pci(), wire_isa));
  pci().set_router(
      [](int devfn, int pin) { return ((devfn >> 3) - 1 + pin) & 3; },
      {isa_bridge_->irq_in(0), isa_bridge_->irq_in(1), isa_bridge_->irq_in(2), isa_bridge_->irq_in(3)});
  if (context.config.vga == VgaKind::kStd) {
    std::function<void(VgaPrimary&)> wire_vga = [](VgaPrimary&) {};
    co_await or_return(co_await co_add<VgaPrimary>(context, &pci(), wire_vga));
  }
  std::function<void(Piix3Ide&)> wire_ide = [this](Piix3Ide& d) {
    d.isa_irqs = {gsi_[14], gsi_[15]};
    d.set_devfn(pci::devfn(1, 1));
  };
  ide_ = co_await or_return(co_await co_add<Piix3Ide>(context, &pci(), wire_ide));
  if (!acpi || !context.config.acpi) co_return Result<>();
  std::function<void(Piix4Pm&)> wire_pm = [this, &context, &vm](Piix4Pm& d) {
    d.serial_ports = static_cast<unsigned>(
        std::ranges::count_if(context.config.serial_chardevs, [](const auto& id) { return !id.empty(); }));
    d.loop = &context.devices.main_loop;
    d.clock = &context.devices.clock;
    d.sci = gsi_[kSciIrq];
    d.on_soft_off = [&vm] { vm.request_quit(ShutdownCause::kGuestShutdown); };
    d.on_suspend = [&vm] { vm.request_suspend(); };
    d.on_suspend_disk = [&vm] {
      qapi_event_send_suspend_disk();
      vm.request_quit(ShutdownCause::kGuestShutdown);
    };
    d.on_wake_event = [&vm](WakeupReason reason) {
      if (vm.run_state() == RunState::kSuspended) std::ignore = vm.wake_up(reason);
    };
    if (Unplugger* unplugger = context.devices.unplugger) {
      d.on_unplug_told = [unplugger](PciDevice& function) { unplugger->told(function); };
      d.on_eject = [unplugger](PciDevice& function) { unplugger->ejected(function); };
      d.on_unplug_asked = [unplugger](PciDevice& function) { unplugger->asked(function, {}); };
    }
    d.set_devfn(pci::devfn(1, 3));
    d.smb_io_base = kSmbusBase;
  };
  pm_ = co_await or_return(co_await co_add<Piix4Pm>(context, &pci(), wire_pm));
  for (uint8_t n = 0; n < kMemoryModules; ++n) {
    std::function<void(SmbusEeprom&)> wire_module = [n](SmbusEeprom& d) { d.address = kFirstModule + n; };
    co_await or_return(co_await co_add<SmbusEeprom>(context, &pm_->smbus(), wire_module));
  }
  build_cpu_hotplug(context);
  build_memory_hotplug(context);
  co_return Result<>();
}

/// The two DMA controllers.
CoResult<> PcMachine::co_build_dma(MachineContext& context) {
  IsaBus* isa = &isa_bridge_->isa();
  for (const bool second : {false, true}) {
    std::function<void(I8257&)> wire = [second](I8257& d) {
      if (second) d.set_up_as_second();
      d.memory = &memory_space();
    };
    isa->dma[second ? 1 : 0] = co_await or_return(co_await co_add<I8257>(context, isa, wire));
  }
  co_return Result<>();
}

/// The event timers, which can take the place of the 8254 and the clock at interrupts 0 and 8.
CoResult<> PcMachine::co_build_hpet(MachineContext& context) {
  if (!hpet) co_return Result<>();
  constexpr uint32_t kGsi2 = 1u << 2;
  KernelIrqchip* chip = context.accel.irqchip();
  std::function<void(Hpet&)> wire = [this, chip](Hpet& d) {
    d.intcap = kGsi2;
    d.memory = &system_memory();
    std::ranges::copy(gsi_, d.gsi.begin());
    if (chip == nullptr) return;
    d.send_message = [chip](const MsiMessage& m) { std::ignore = chip->send_msi(m); };
    if (chip->has_pit()) d.on_pit_enabled = [chip](bool on) { enable_kernel_pit(*chip, on); };
  };
  hpet_ = co_await or_return(co_await co_add<Hpet>(context, nullptr, wire));
  co_return Result<>();
}

CoResult<> PcMachine::co_build_legacy(MachineContext& context) {
  VmControl& vm = context.vm;
  IsaBus* isa = &isa_bridge_->isa();
  const std::function<void()> reset = [&vm] { vm.request_reset(ShutdownCause::kGuestReset); };
  co_await or_return(co_await co_build_dma(context));
  co_await or_return(co_await co_build_pics(context));
  co_await or_return(co_await co_build_hpet(context));
  const bool kernel_pit = context.accel.irqchip() != nullptr && context.accel.irqchip()->has_pit();
  if (pit && !kernel_pit) {
    std::function<void(I8254&)> wire_pit = [this](I8254& d) {
      if (hpet_ != nullptr) d.irq_line = hpet_->irq_in(Hpet::kPitInput);
    };
    I8254* timer = co_await or_return(co_await co_add<I8254>(context, isa, wire_pit));
    std::function<void(Pcspk&)> wire_speaker = [timer](Pcspk& d) { d.pit = timer; };
    co_await or_return(co_await co_add<Pcspk>(context, isa, wire_speaker));
  }
  std::function<void(Mc146818&)> wire_rtc = [&](Mc146818& d) {
    if (hpet_ != nullptr) d.irq_line = hpet_->irq_in(Hpet::kRtcInput);
    d.options = context.config.rtc;
    d.base_year = 0;  // the century stands in CMOS byte 0x32
    d.on_alarm = [this, &vm] {
      const bool wakes = pm_ != nullptr && (pm_->acpi().state.enable & AcpiFixedHardware::kRtcStatus) != 0;
      if (wakes && vm.run_state() == RunState::kSuspended) std::ignore = vm.wake_up(WakeupReason::kRtc);
    };
    d.on_change = [&d](int64_t offset_s) { qapi_event_send_rtc_change(offset_s, d.path()); };
  };
  rtc_ = co_await or_return(co_await co_add<Mc146818>(context, isa, wire_rtc));
  add_link("rtc_state", "isa-device", [this] { return static_cast<Object*>(rtc_); });
  add_alias("rtc-time", *rtc_, "date");
  std::function<void(IsaFdc&)> wire_fdc = [](IsaFdc&) {};
  fdc_ = co_await or_return(co_await co_add<IsaFdc>(context, isa, wire_fdc));
  co_await or_return(co_await co_build_input(context));
  std::function<void(Port92&)> wire_port92 = [&](Port92& d) { d.on_reset_request = reset; };
  co_await or_return(co_await co_add<Port92>(context, isa, wire_port92));
  co_await or_return(co_await co_build_serial_ports(context));
  std::function<void(FwCfgIo&)> wire_fw_cfg = [](FwCfgIo& d) { d.connect(system_io(), memory_space()); };
  fw_cfg_ = co_await or_return(co_await co_add<FwCfgIo>(context, nullptr, wire_fw_cfg));
  co_return Result<>();
}

CoResult<> PcMachine::co_build_serial_ports(MachineContext& context) {
  IsaBus* isa = &isa_bridge_->isa();
  uint32_t index = 0;
  for (const std::string& chardev : context.config.serial_chardevs) {
    std::function<void(IsaSerial&)> wire = [&](IsaSerial& d) {
      d.index = index;
      d.chardev_id = chardev;
    };
    if (!chardev.empty()) co_await or_return(co_await co_add<IsaSerial>(context, isa, wire));
    ++index;
  }
  if (context.config.debugcon_chardev.empty()) co_return Result<>();
  std::function<void(IsaDebugcon&)> wire_debugcon = [&](IsaDebugcon& d) {
    d.chardev_id = context.config.debugcon_chardev;
  };
  co_await or_return(co_await co_add<IsaDebugcon>(context, isa, wire_debugcon));
  co_return Result<>();
}

CoResult<> PcMachine::co_build(MachineContext& context) {
  context_ = &context;
  co_await or_return(build_memory(context));
  co_await or_return(load_firmware(context));
  co_await or_return(build_cpus(context));
  co_await or_return(co_await co_build_interrupt_controllers(context));
  co_await or_return(co_await co_build_chipset(context));
  co_await or_return(co_await co_build_legacy(context));
  set_cmos_memory();
  co_return Result<>();
}

/// The page for the firmware to place, and the file through which it tells where.
Result<> PcMachine::publish(VmGenId& generation) {
  if (!fw_cfg_->dma_enabled() || pm_ == nullptr)
    return fail(ENOTSUP, "vmgenid requires DMA write support in fw_cfg, and ACPI");
  generation.on_change = [this] { pm_->acpi().raise_gpe(VmGenId::kGpe); };
  FwCfgStore& store = fw_cfg_->store();
  auto address_written = [&store, &generation] {
    if (const Bytes* at = store.file(VmGenId::kAddressFile))
      std::copy_n(at->begin(), std::min(at->size(), generation.address.size()), generation.address.begin());
  };
  TRY(store.add_file(VmGenId::kPageFile, generation.page()));
  return store.add_file(VmGenId::kAddressFile, Bytes(VmGenId::kAddressBytes),
                        {.writable = true, .after_write = address_written});
}

Result<> PcMachine::fill_fw_cfg(MachineContext& context) {
  const MachineConfig& c = context.config;
  FwCfgConfig f;
  f.dma = fw_cfg_->dma_enabled();
  f.uuid = c.uuid;
  f.ram_below_4g = below_4g_;
  f.ram_above_4g = above_4g_;
  f.cpus = static_cast<uint16_t>(c.smp.cpus);
  f.apic_id_limit = apic_id_limit();
  // KVM's identity map and TSS pages.
  f.reserved.push_back({.address = 0xfeff'c000, .bytes = 0x4000, .type = E820Type::kReserved});
  f.graphics = graphics && c.graphics;
  for_each_device(*this, [&](Device& d) {
    const auto* function = dynamic_cast<PciDevice*>(&d);
    if (function == nullptr || function->rom_for_firmware().empty()) return;
    const std::string& file = function->rom_file();
    const bool vga = function->pci_ids().class_id == 0x0300;
    f.user_files.push_back({.name = str_cat(vga ? "vgaroms/" : "genroms/", file.substr(file.rfind('/') + 1)),
                            .data = function->rom_for_firmware()});
  });
  const bool have_serial = !c.serial_chardevs.empty() && !c.serial_chardevs[0].empty();
  if (!f.graphics && have_serial) f.serial_console_port = kFirstSerialPort;
  f.s3 = pm_ != nullptr && pm_->disable_s3 == 0;
  f.s4 = pm_ != nullptr && pm_->disable_s4 == 0;
  f.s4_type = pm_ != nullptr ? pm_->s4_val : 2;
  if (const MemoryDevices& modules = memory_devices(); modules.region() != nullptr)
    f.reserved_memory_end = (modules.base() + modules.window_bytes() + kGiB - 1) / kGiB * kGiB;
  f.hpet_id = hpet_ != nullptr ? hpet_->block_id() : 0;
  f.boot.order = TRY(boot_paths(*this));
  f.boot.strict = c.boot.strict;
  f.boot.menu = c.boot.menu;
  f.boot.splash_time_ms = c.boot.splash_time_ms;
  f.boot.reboot_timeout_ms = c.boot.reboot_timeout_ms;
  f.smbios.uuid = c.uuid;
  f.smbios.sockets = c.smp.sockets;
  f.smbios.cores_per_socket = c.smp.cores * c.smp.dies;
  f.smbios.threads_per_core = c.smp.threads;
  f.smbios.ram_below_4g = below_4g_;
  f.smbios.ram_above_4g = above_4g_;
  if (!context.accel.vcpus().empty()) {
    if (const CpuidLeaf* leaf = find_cpuid(context.accel.vcpus()[0]->cpuid(), 1)) {
      f.smbios.processor.cpuid_eax = leaf->eax;
      f.smbios.processor.cpuid_edx = leaf->edx;
    }
  }
  if (pm_ != nullptr) f.acpi = [this] { return acpi_config(); };
  if (VmGenId* generation = find_device<VmGenId>(*this)) TRY(publish(*generation));
  if (!c.boot.splash.empty()) f.user_files.push_back(TRY(load_boot_splash(c)));
  if (const IsaPvpanic* panic = find_device<IsaPvpanic>(*this))
    f.user_files.push_back({.name = "etc/pvpanic-port", .data = ByteBuffer().le(panic->ioport, 2).take()});
  if (!c.kernel.empty())
    f.linux_boot = TRY(load_linux_boot(c.kernel, c.initrd, c.append, below_4g_));
  else if (!c.initrd.empty() || !c.append.empty())
    return fail(EINVAL, c.initrd.empty() ? "-append" : "-initrd", " only allowed with -kernel option");
  return setup_fw_cfg(fw_cfg_->store(), std::move(f));
}

namespace {

/// What the guest's tables say of the slots of `bus`. A bridge that came later is a device in a slot.
AcpiPciBus acpi_pci_bus(const PciBus& bus) {
  AcpiPciBus out;
  out.number = bus.hotplug_number();
  for (int devfn = 0; devfn < 256; ++devfn) {
    const PciDevice* d = bus.function(devfn);
    const bool fixed_bridge = d != nullptr && d->secondary_bus() != nullptr && !d->hotplugged();
    const bool empty_slot = d == nullptr && (devfn & 7) == 0;
    const bool first = d != nullptr && (devfn & 7) == 0;
    if (!fixed_bridge && !(out.number && (empty_slot || first))) continue;
    AcpiPciFunction& f = out.functions.emplace_back();
    f.devfn = devfn;
    f.ejectable = out.number && !fixed_bridge && (devfn & 7) == 0 && (d == nullptr || d->hotpluggable());
    if (fixed_bridge) f.behind.push_back(acpi_pci_bus(*d->secondary_bus()));
  }
  return out;
}

}  // namespace

AcpiConfig PcMachine::acpi_config() const {
  AcpiConfig a;
  for (const CpuSlot& slot : cpu_slots().list)
    a.cpus.push_back({.apic_id = slot.place.apic_id,
                      .present = false,
                      .node = static_cast<uint32_t>(slot.node_id.value_or(0))});
  for (const auto& vcpu : context_->accel.vcpus()) a.cpus[vcpu->index()].present = true;
  a.numa = context_->config.numa;
  a.ram_above_4g = above_4g_;
  a.hmat = hmat;
  a.ram_below_4g = below_4g_;
  for (size_t i = 0; i < std::min<size_t>(context_->config.serial_chardevs.size(), 2); ++i)
    a.serial_ports.push_back(!context_->config.serial_chardevs[i].empty());
  if (const IsaPvpanic* panic = find_device<IsaPvpanic>(*const_cast<PcMachine*>(this)))
    a.pvpanic_port = panic->ioport;
  a.vmgenid = find_device<VmGenId>(*const_cast<PcMachine*>(this)) != nullptr;
  a.fdc = true;
  for (unsigned n = 0; n < FloppyBus::kDrives; ++n) {
    AcpiConfig::Floppy& f = a.floppies.emplace_back();
    const FloppyDrive* drive = fdc_->floppy_bus().drive(n);
    if (drive == nullptr || floppy_cmos_type(drive->drive_type) == 0) continue;
    const FloppyLimits most = floppy_limits(drive->drive_type);
    f.cmos_type = floppy_cmos_type(drive->drive_type);
    f.last_track = static_cast<uint8_t>(most.tracks - 1);
    f.last_sector = most.sectors;
    f.last_head = static_cast<uint8_t>(most.heads - 1);
  }
  a.hpet_id = hpet_ != nullptr ? hpet_->block_id() : 0;
  a.cpu_hotplug_base = CpuHotplug::kBase;
  if (pm_->pci_hotplug != nullptr) {
    a.pci_hotplug_base = AcpiPciHotplug::kBase;
    a.pci_root = acpi_pci_bus(host_->pci());
  }
  const MemoryDevices& modules = memory_devices();
  a.memory_slots = modules.slots();
  if (modules.region() != nullptr)
    a.module_range = {modules.base(), modules.base() + modules.window_bytes() - 1};
  a.s3 = pm_->disable_s3 == 0;
  a.s4 = pm_->disable_s4 == 0;
  a.s4_type = pm_->s4_val;
  return a;
}

CoResult<> PcMachine::co_finish(MachineContext& context) {
  co_await or_return(co_await co_map_flash(context));
  co_await or_return(fill_fw_cfg(context));
  set_cmos_floppies();
  const BootOptions& boot = context.config.boot;
  co_await or_return(check_boot_order(boot.order));
  co_await or_return(check_boot_order(boot.once));
  boot_once_ = !boot.once.empty();
  set_cmos_boot(boot.order);
  set_cmos_disks();
  const std::string geometry = bios_geometry();
  co_await or_return(fw_cfg_->store().add_file("bios-geometry", Bytes(geometry.begin(), geometry.end())));
  co_return Result<>();
}

void PcMachine::reset() {
  Result<> r = context_->accel.reset();
  if (!r) error_report(r.error());
  Machine::reset();
  // The first reset is the power-on: "once" is for that one.
  if (rtc_ != nullptr && boot_once_)
    set_cmos_boot(std::exchange(power_on_, false) ? context_->config.boot.once : context_->config.boot.order);
}

void PcMachine::press_power_button() {
  if (pm_ != nullptr) pm_->acpi().press_power_button();
}

bool PcMachine::can_wake_up() const {
  return pm_ != nullptr;
}

void PcMachine::suspend() {
  constexpr uint8_t kShutdownStatus = 0x0f, kResume = 0xfe;  // firmware's: what the next start is
  rtc_->set_cmos(kShutdownStatus, kResume);
}

void PcMachine::wake_up(WakeupReason reason) {
  reset();
  if (pm_ != nullptr) pm_->acpi().report_wakeup(reason);
}

}  // namespace rhea
