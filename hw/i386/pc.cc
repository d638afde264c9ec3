#include "hw/i386/pc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/vmgenid.h"
#include "hw/block/pflash_cfi01.h"
#include "hw/char/char_types.h"
#include "hw/char/debugcon.h"
#include "hw/char/serial.h"
#include "hw/core/unplug.h"
#include "hw/display/display_types.h"
#include "hw/display/vga_pci.h"
#include "hw/dma/dma_types.h"
#include "hw/dma/i8257.h"
#include "hw/floppy/isa_fdc.h"
#include "hw/i2c/smbus_eeprom.h"
#include "hw/i386/fw_cfg_setup.h"
#include "hw/i386/gsi_router.h"
#include "hw/ide/piix3_ide.h"
#include "hw/input/i8042.h"
#include "hw/input/input_types.h"
#include "hw/intc/i8259.h"
#include "hw/intc/intc_types.h"
#include "hw/intc/ioapic.h"
#include "hw/isa/piix3.h"
#include "hw/misc/debug_exit.h"
#include "hw/misc/misc_types.h"
#include "hw/misc/port92.h"
#include "hw/misc/pvpanic.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci_bridge.h"
#include "hw/rtc/mc146818.h"
#include "hw/rtc/rtc_types.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/pcspk.h"
#include "hw/timer/timer_types.h"
#include "hw/virtio/virtio_types.h"
#include "hw/watchdog/watchdog_types.h"
#include "memory/backend.h"
#include "qapi/qapi_events_machine.h"
#include "qapi/qapi_events_runstate.h"
#include "qapi/vm_control.h"
#include "target/i386/cpu_slots.h"
#include "target/i386/kvm_devices.h"
#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20, kGiB = uint64_t{1} << 30;
constexpr uint64_t kFourGiB = 4 * kGiB;
constexpr unsigned kSciIrq = 9;
constexpr uint64_t kMaxFirmwareBytes = 16 * kMiB;
constexpr uint64_t kFirmwareLowBytes = 128 * 1024;  // what shows below 1 MiB
constexpr uint16_t kFirstSerialPort = 0x3f8;

template <size_t Version>
std::shared_ptr<Object> make_pc() {
  return std::make_shared<PcMachine>(Version);
}

/// One more than the largest APIC id.
uint16_t apic_id_limit() {
  uint32_t limit = 0;
  for (const CpuSlot& slot : cpu_slots().list) limit = std::max(limit, slot.place.apic_id + 1);
  return static_cast<uint16_t>(limit);
}

/// Where functions send their message-signalled interrupts; a processor's own accesses end at its local APIC.
class MsiWindow final : public MmioHandler {
 public:
  static constexpr GuestAddr kBase = 0xfee00000;
  static constexpr uint64_t kBytes = 0x100000;
  explicit MsiWindow(Accelerator& accel) : accel_(accel) {}
  uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
  void mmio_write(uint64_t offset, uint64_t value, unsigned) override {
    const MsiMessage message{.address = kBase + offset, .data = static_cast<uint32_t>(value)};
    Result<> sent;
    if (accel_.irqchip() != nullptr)
      sent = accel_.irqchip()->send_msi(message);
    else if (accel_.split_irqchip() != nullptr)
      sent = accel_.split_irqchip()->send_msi(message);
    if (!sent) log_guest_error("a message-signalled interrupt was lost: ", sent.error().message());
  }

 private:
  Accelerator& accel_;
};

/// The I/O APIC in user space, with local APICs in the kernel.
void connect_split(Ioapic& ioapic, SplitIrqchip& split) {
  ioapic.deliver = [&split](const MsiMessage& message) {
    constexpr uint32_t kMode = 0x700, kExtInt = 0x700;
    if ((message.data & kMode) == kExtInt) return;  // the PIC reaches the processor by its own line
    if (Result<> sent = split.send_msi(message); !sent) error_report(sent.error());
  };
  ioapic.on_table_change = [&ioapic, &split] {
    std::array<std::optional<MsiMessage>, SplitIrqchip::kIoapicPins> routes;
    for (unsigned pin = 0; pin < routes.size(); ++pin) routes[pin] = ioapic.route(pin);
    if (Result<> set = split.set_ioapic_routes(routes); !set) error_report(set.error());
  };
  split.on_end_of_interrupt = [&ioapic](uint8_t vector) { ioapic.end_of_interrupt(vector); };
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

uint8_t boot_code(char letter) {
  switch (letter) {
    case 'a':
    case 'b':
      return 1;
    case 'c':
      return 2;
    case 'd':
      return 3;
    case 'n':
      return 4;
    default:
      return 0;
  }
}

}  // namespace

namespace {

Result<> set_max_ram(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const uint64_t bytes = TRY(property_size(name, value, form));
  if (bytes > kFourGiB)
    return fail(EINVAL, "Machine option 'max-ram-below-4g=", bytes,
                "' expects size less than or equal to 4G");
  if (bytes < kMiB)
    warn_report(str_cat("Only ", bytes,
                        " bytes of RAM below the 4GiB boundary, BIOS may not work with less than 1MiB"));
  static_cast<PcMachine&>(o).max_ram_below_4g = bytes;
  return {};
}

constexpr PropertyInfo max_ram_property() {
  PropertyInfo info = prop_size<&PcMachine::max_ram_below_4g>(
      "max-ram-below-4g", "Maximum ram below the 4G boundary (32bit boundary)");
  info.set = set_max_ram;
  return info;
}

}  // namespace

constexpr PropertyInfo PcMachine::kProperties[] = {
    prop<&PcMachine::vmport>("vmport", "Enable vmport (pc & q35)"),
    prop<&PcMachine::smm>("smm", "Enable SMM"),
    prop<&PcMachine::acpi>("acpi", "Enable ACPI"),
    prop<&PcMachine::pit>("pit", "Enable i8254 PIT emulation"),
    prop<&PcMachine::pflash0>("pflash0", "Node name or ID of a block device to use as a backend"),
    prop<&PcMachine::pflash1>("pflash1", "Node name or ID of a block device to use as a backend"),
    prop<&PcMachine::hpet>("hpet", "Enable/disable high precision event timer emulation"),
    max_ram_property(),
    prop<&PcMachine::hmat>("hmat",
                           "Set on/off to enable/disable ACPI Heterogeneous Memory Attribute Table (HMAT)"),
};
static constexpr const char* kX86Interfaces[] = {"nmi"};
static constexpr const char* kPcInterfaces[] = {"hotplug-handler"};
static constexpr TypeInfo kX86MachineType{
    .name = "x86-machine", .parent = &Machine::kType, .interfaces = kX86Interfaces};
static constexpr TypeInfo kGenericPcType{
    .name = "generic-pc-machine", .parent = &kX86MachineType, .interfaces = kPcInterfaces};

namespace {

/// A type and a class for each version; made once.
struct PcTypes {
  std::vector<TypeInfo> types;
  std::vector<MachineClass> classes;
};

template <size_t... Version>
constexpr auto pc_creators(std::index_sequence<Version...>) {
  using Creator = std::shared_ptr<Object> (*)();
  return std::array<Creator, sizeof...(Version)>{&make_pc<Version>...};
}

PcTypes make_pc_types() {
  static constexpr auto kCreators = pc_creators(std::make_index_sequence<kPcVersions>());
  PcTypes all;
  all.types.reserve(kPcVersions);
  for (size_t i = 0; i < kPcVersions; ++i) {
    const PcVersion& v = pc_versions()[i];
    all.types.push_back({.name = v.type,
                         .parent = &kGenericPcType,
                         .create = kCreators[i],
                         .properties = PcMachine::kProperties});
    all.classes.push_back({.name = v.machine,
                           .alias = i == 0 ? "pc" : nullptr,
                           .description = "Standard PC (i440FX + PIIX, 1996)",
                           .is_default = i == 0,
                           .max_cpus = 255,
                           .default_cpu_type = "qemu64-x86_64-cpu",
                           .default_ram_id = "pc.ram",
                           .type = &all.types.back(),
                           .deprecated = v.deprecated,
                           .hotpluggable_cpus = true,
                           .numa_mem_supported = v.numa_mem});
  }
  return all;
}

const PcTypes& pc_types() {
  static const PcTypes& all = *new PcTypes(make_pc_types());
  return all;
}

}  // namespace

PcMachine::PcMachine(size_t version) : version_(pc_versions()[version]) {}

const MachineClass& PcMachine::machine_class() const {
  return pc_types().classes[static_cast<size_t>(&version_ - pc_versions().data())];
}

void PcMachine::apply_compatibility() {
  for (const PcVersion& v : pc_versions()) {
    add_compat_properties(v.changes);
    if (&v == &version_) break;
  }
  X86Cpu::kvm_defaults() = {.x2apic = version_.kvm_x2apic, .hides_svm = version_.kvm_hides_svm};
}

PcMachine::~PcMachine() {
  X86Cpu::set_plug_handler(nullptr);
}

template <class T>
CoResult<T*> PcMachine::co_add(MachineContext& context, Bus* bus, std::function<void(T&)> configure,
                               const char* name) {
  auto device = co_await or_return(make_device(T::kType.name));
  auto& typed = static_cast<T&>(*device);
  if (configure) configure(typed);
  co_await or_return(co_await device->co_prepare(context.devices));
  Object& parent = qom_root().container("/machine/unattached");
  co_await or_return(add_device(device, bus, parent, name));
  co_return &typed;
}

/// What does not fit below the hole for PCI moves above 4 GiB; a board with that much RAM leaves a whole GiB
/// to PCI, so that the rest begins at a GiB.
uint64_t PcMachine::low_ram_bytes(uint64_t ram_bytes) const {
  uint64_t limit = max_ram_below_4g != 0 ? max_ram_below_4g : 0xe000'0000;
  if (ram_bytes < limit) return ram_bytes;
  if (version_.gigabyte_align) {
    limit = std::min(limit, 3 * kGiB);
    if (limit % kGiB != 0)
      warn_report(str_cat("Large machine and max_ram_below_4g (", max_ram_below_4g,
                          ") not a multiple of 1G; possible bad performance."));
  }
  return std::min(ram_bytes, limit);
}

/// All of RAM: one block, or that of each NUMA node after the other.
Result<> PcMachine::build_ram(MachineContext& context) {
  const MachineConfig& c = context.config;
  const bool by_nodes =
      std::ranges::any_of(c.numa.nodes, [](const NumaNode& n) { return !n.memdev.empty(); });
  if (!by_nodes) {
    MachineRam ram{.backend = memory_backend,
                   .default_id = machine_class().default_ram_id,
                   .bytes = c.ram_bytes,
                   .mem_path = c.mem_path,
                   .prealloc = c.mem_prealloc,
                   .merge = mem_merge,
                   .dump = dump_guest_core};
    ram_ = MemoryRegion::ram("pc.ram", TRY(machine_ram(ram)));
    return {};
  }
  if (!memory_backend.empty())
    return fail(EINVAL, "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive");
  ram_ = MemoryRegion::container("pc.ram", c.ram_bytes);
  uint64_t at = 0;
  for (const NumaNode& node : c.numa.nodes) {
    if (node.memdev.empty()) continue;
    node_ram_.push_back(MemoryRegion::ram(node.memdev, TRY(claim_memory_backend(node.memdev))));
    ram_->add_subregion(at, *node_ram_.back());
    at += node.bytes;
  }
  return {};
}

Result<> PcMachine::build_memory(MachineContext& context) {
  const uint64_t bytes = context.config.ram_bytes;
  below_4g_ = low_ram_bytes(bytes);
  above_4g_ = bytes - below_4g_;
  TRY(build_ram(context));
  const MemoryTransaction transaction;
  ram_low_ = MemoryRegion::alias("ram-below-4g", *ram_, 0, below_4g_);
  system_memory().add_subregion(0, *ram_low_);
  if (above_4g_ != 0) {
    ram_high_ = MemoryRegion::alias("ram-above-4g", *ram_, below_4g_, above_4g_);
    system_memory().add_subregion(kFourGiB, *ram_high_);
  }
  // What no other region claims belongs to the PCI bus.
  pci_memory_ = MemoryRegion::container("pci", MemoryRegion::kWholeSpace);
  system_memory().add_subregion(0, *pci_memory_, -1);
  return {};
}

Result<> PcMachine::load_firmware(MachineContext& context) {
  std::string name = context.config.firmware;
  if (name.empty()) name = version_.small_firmware ? "bios.bin" : "bios-256k.bin";
  const std::string path = context.config.find_data_file(name);
  if (path.empty())
    return fail(ENOENT, "could not load PC BIOS '", name,
                "': no such file in the firmware directories (package seabios has it)");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) < 0) return fail_errno(errno, "could not load PC BIOS '", path, "'");
  const auto bytes = static_cast<uint64_t>(st.st_size);
  if (bytes == 0 || bytes % 65536 != 0 || bytes > kMaxFirmwareBytes)
    return fail(EINVAL, "could not load PC BIOS '", path, "': its size (", bytes,
                ") is no multiple of 64 KiB up to 16 MiB");
  firmware_block_ = TRY(RamBlock::create("pc.bios", bytes));
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t n =
        ::pread(fd.get(), firmware_block_->host() + done, bytes - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "could not load PC BIOS '", path, "'");
    done += static_cast<uint64_t>(n);
  }
  const MemoryTransaction transaction;
  firmware_ = MemoryRegion::rom("pc.bios", firmware_block_);
  const uint64_t low = std::min(bytes, kFirmwareLowBytes);
  firmware_low_ = MemoryRegion::alias("isa-bios", *firmware_, bytes - low, low);
  pci_memory_->add_subregion(kFourGiB - bytes, *firmware_);
  pci_memory_->add_subregion(kMiB - low, *firmware_low_, 1);
  return {};
}

Result<> PcMachine::build_cpus(MachineContext& context) {
  if (context.accel.wants_irqchip()) TRY(context.accel.create_irqchip(pit));
  if (context.accel.irqchip() != nullptr || context.accel.split_irqchip() != nullptr) {
    msi_handler_ = std::make_unique<MsiWindow>(context.accel);
    msi_window_ = MemoryRegion::io("kvm-apic-msi", MsiWindow::kBytes, *msi_handler_, {.valid_max = 4});
    system_memory().add_subregion(MsiWindow::kBase, *msi_window_, 1);
  }
  const std::string model = context.config.cpu_model.empty() ? "qemu64" : context.config.cpu_model;
  Object& parent = qom_root().container("/machine/unattached");
  const X86CpuModel* named = TRY(apply_cpu_option(model));
  TRY(create_cpus(context.accel, context.config.smp, *named, parent, context.config.numa));
  X86Cpu::set_plug_handler([&accel = context.accel](X86Cpu& cpu) { return plug_cpu(cpu, accel); });
  return create_kernel_devices(context.accel, parent);
}

CoResult<> PcMachine::co_build_interrupt_controllers(MachineContext& context) {
  if (context.accel.irqchip() != nullptr) {
    for (int n = 0; n < 24; ++n) gsi_[static_cast<size_t>(n)] = context.accel.gsi(n);
    co_return Result<>();
  }
  SplitIrqchip* split = context.accel.split_irqchip();
  std::function<void(Ioapic&)> wire = [split](Ioapic& d) {
    d.memory = &system_memory();
    if (split != nullptr) connect_split(d, *split);
  };
  Ioapic* ioapic = co_await or_return(co_await co_add<Ioapic>(context, nullptr, wire, "ioapic"));
  router_ = std::make_unique<GsiRouter>(*ioapic);
  for (int n = 0; n < 24; ++n) gsi_[static_cast<size_t>(n)] = IrqLine(*router_, n);
  co_return Result<>();
}

/// The pair of 8259s that machines without the kernel's use.
CoResult<> PcMachine::co_build_pics(MachineContext& context) {
  if (router_ == nullptr) co_return Result<>();
  IsaBus* isa = &isa_bridge_->isa();
  if (SplitIrqchip* split = context.accel.split_irqchip()) pic_output_ = std::make_unique<PicOutput>(*split);
  std::function<void(I8259&)> wire_master = [this](I8259& d) {
    d.master = true;
    if (pic_output_ != nullptr) d.output = IrqLine(*pic_output_, 0);
  };
  I8259* master = co_await or_return(co_await co_add<I8259>(context, isa, wire_master));
  std::function<void(I8259&)> wire_slave = [master](I8259& d) { d.output = master->irq_in(2); };
  I8259* slave = co_await or_return(co_await co_add<I8259>(context, isa, wire_slave));
  master->slave = slave;
  if (SplitIrqchip* split = context.accel.split_irqchip())
    split->acknowledge_pic = [master] { return master->acknowledge(); };
  router_->set_pics(*master, *slave);
  co_return Result<>();
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
  std::function<void(I8042&)> wire_keyboard = [&](I8042& d) { d.on_reset_request = reset; };
  co_await or_return(co_await co_add<I8042>(context, isa, wire_keyboard));
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

// CMOS bytes as PC firmware reads them (Bochs/SeaBIOS conventions).
void PcMachine::set_cmos_memory() {
  auto set16 = [&](uint8_t at, uint64_t v) {
    rtc_->set_cmos(at, static_cast<uint8_t>(v));
    rtc_->set_cmos(static_cast<uint8_t>(at + 1), static_cast<uint8_t>(v >> 8));
  };
  const uint64_t total = below_4g_;
  set16(0x15, std::min<uint64_t>(total / 1024, 640));  // base memory, KiB
  const uint64_t extended =
      total > kMiB ? std::min<uint64_t>((total - kMiB) / 1024, 65535) : 0;  // KiB above 1 MiB
  set16(0x17, extended);
  set16(0x30, extended);
  set16(0x34, total > 16 * kMiB ? std::min<uint64_t>((total - 16 * kMiB) / 65536, 65535)
                                : 0);  // 64 KiB above 16 MiB
  for (uint8_t i = 0; i < 3; ++i)
    rtc_->set_cmos(static_cast<uint8_t>(0x5b + i), static_cast<uint8_t>(above_4g_ / 65536 >> (8 * i)));
  rtc_->set_cmos(0x5f, static_cast<uint8_t>(context_->config.smp.cpus - 1));
}

/// The drives of the controller at the usual place.
void PcMachine::set_cmos_floppies() {
  constexpr uint8_t kFpuAndMouse = 0x06, kOneFloppy = 0x01, kTwoFloppies = 0x41;
  unsigned controllers = 0;
  for_each_device(*this, [&](Device& d) {
    const auto* fdc = dynamic_cast<IsaFdc*>(&d);
    if (fdc != nullptr && fdc->iobase == fdc_->iobase) ++controllers;
  });
  if (controllers > 1)
    warn_report(str_cat("multiple floppy disk controllers with iobase=0x", hex(fdc_->iobase),
                        " have been found; the one the machine made is used for CMOS setup"));
  std::array<uint8_t, FloppyBus::kDrives> types{};
  int drives = 0;
  for (unsigned n = 0; n < types.size(); ++n) {
    const FloppyDrive* drive = fdc_->floppy_bus().drive(n);
    types[n] = drive != nullptr ? floppy_cmos_type(drive->drive_type) : 0;
    drives += types[n] != 0;
  }
  rtc_->set_cmos(0x10, static_cast<uint8_t>(types[0] << 4 | types[1]));
  const uint8_t equipment = drives == 0 ? 0 : drives == 1 ? kOneFloppy : kTwoFloppies;
  rtc_->set_cmos(0x14, kFpuAndMouse | equipment);
}

Result<> PcMachine::check_boot_order(std::string_view order) {
  if (order.size() > 3) return fail(EINVAL, "Too many boot devices for PC");
  for (const char letter : order)
    if (boot_code(letter) == 0) return fail(EINVAL, "Invalid boot device for PC: '", letter, "'");
  return {};
}

Result<> PcMachine::set_boot_order(std::string_view order) {
  for (const char letter : order)
    if (letter < 'a' || letter > 'p') return fail(EINVAL, "Invalid boot device '", letter, "'");
  TRY(check_boot_order(order));
  boot_once_ = false;
  set_cmos_boot(order);
  return {};
}

std::vector<MachineRom> PcMachine::roms() const {
  std::vector<MachineRom> out;
  if (firmware_block_ != nullptr)
    out.push_back({.name = config->firmware,
                   .address = kFourGiB - firmware_block_->size(),
                   .file = {},
                   .bytes = firmware_block_->size()});
  for (const char* name : {"etc/acpi/tables", "etc/table-loader", "etc/acpi/rsdp"})
    if (fw_cfg_ != nullptr && fw_cfg_->store().visible_file_size(name) != 0)  // else not built yet
      out.push_back({.name = name,
                     .address = std::nullopt,
                     .file = name,
                     .bytes = fw_cfg_->store().visible_file_size(name)});
  return out;
}

void PcMachine::set_cmos_boot(std::string_view order) {
  constexpr uint8_t kNoSignatureCheck = 1;
  std::array<uint8_t, 3> codes{};
  for (size_t i = 0; i < codes.size() && i < order.size(); ++i) codes[i] = boot_code(order[i]);
  rtc_->set_cmos(0x3d, static_cast<uint8_t>(codes[1] << 4 | codes[0]));
  const bool check = context_->config.boot.floppy_signature_check;
  rtc_->set_cmos(0x38, static_cast<uint8_t>(codes[2] << 4 | (check ? 0 : kNoSignatureCheck)));
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
  a.s3 = pm_->disable_s3 == 0;
  a.s4 = pm_->disable_s4 == 0;
  a.s4_type = pm_->s4_val;
  return a;
}

/// The firmware's last 128 KiB show below 1 MiB, as a copy: they stay readable while the flash takes
/// commands.
Result<> PcMachine::show_firmware_low(const RamBlock& flash) {
  const uint64_t low = std::min(flash.size(), kFirmwareLowBytes);
  firmware_block_ = TRY(RamBlock::create("isa-bios", low));
  std::memcpy(firmware_block_->host(), flash.host() + flash.size() - low, low);
  firmware_low_ = MemoryRegion::rom("isa-bios", firmware_block_);
  pci_memory_->add_subregion(kMiB - low, *firmware_low_, 1);
  return {};
}

/// Flash in place of the firmware of -bios: unit 0 ends at 4 GiB, unit 1 below it.
CoResult<> PcMachine::co_map_flash(MachineContext& context) {
  if (pflash0.empty() && pflash1.empty()) co_return Result<>();
  if (pflash0.empty()) co_return fail(EINVAL, "pflash1 requires pflash0");
  GuestAddr end = kFourGiB;
  for (const std::string* drive : {&pflash0, &pflash1}) {
    if (drive->empty()) continue;
    const bool first = drive == &pflash0;
    std::function<void(PflashCfi01&)> wire = [&](PflashCfi01& d) {
      d.name = first ? "flash0" : "flash1";
      d.drive = *drive;
      d.system = pci_memory_.get();
      d.end = end;
    };
    if (first) {
      const MemoryTransaction transaction;
      firmware_low_.reset();
      firmware_.reset();
    }
    PflashCfi01* flash = co_await or_return(co_await co_add<PflashCfi01>(context, nullptr, wire));
    if (first) co_await or_return(show_firmware_low(*flash->array()));
    end -= flash->array()->size();
    if (kFourGiB - end > kMaxFirmwareBytes)
      co_return fail(EINVAL, "combined size of system firmware exceeds ", kMaxFirmwareBytes, " bytes");
  }
  co_return Result<>();
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

Result<> PcMachine::inject_nmi() {
  for (const auto& vcpu : context_->accel.vcpus()) TRY(inject_lint1_nmi(*vcpu));
  return {};
}

void register_pc_types() {
  for (const MachineClass& c : pc_types().classes) machine_classes().push_back(&c);
  auto& registry = TypeRegistry::instance();
  registry.add({&PflashCfi01::kType, &VmGenId::kType});
  for (const TypeInfo& t : pc_types().types) registry.add(t);
  registry.add({&NoneMachine::kType, &PciBus::kType, &PciBridge::kType, &IsaBus::kType, &I440fx::kType,
                &I440fxPciHost::kType, &Piix3::kType, &Piix4Pm::kType});
  register_nvram_types();
  register_kernel_device_types(registry);
  register_char_types(registry);
  register_display_types(registry);
  register_dma_types(registry);
  register_floppy_types(registry);
  register_ide_types(registry);
  register_i2c_types(registry);
  register_input_types(registry);
  register_intc_types(registry);
  register_misc_types(registry);
  register_rtc_types(registry);
  register_timer_types(registry);
  register_watchdog_types(registry);
  register_virtio_types(registry);
}

}  // namespace rhea
