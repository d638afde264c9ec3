// The types of the board, one for each version, and all others that it needs.
#include "hw/acpi/piix4_pm.h"
#include "hw/acpi/vmgenid.h"
#include "hw/block/pflash_cfi01.h"
#include "hw/char/char_types.h"
#include "hw/display/display_types.h"
#include "hw/dma/dma_types.h"
#include "hw/floppy/isa_fdc.h"
#include "hw/i2c/smbus_eeprom.h"
#include "hw/i386/pc_build.h"
#include "hw/ide/piix3_ide.h"
#include "hw/input/input_types.h"
#include "hw/intc/intc_types.h"
#include "hw/isa/piix3.h"
#include "hw/mem/pc_dimm.h"
#include "hw/misc/misc_types.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci_bridge.h"
#include "hw/rtc/rtc_types.h"
#include "hw/scsi/scsi_types.h"
#include "hw/timer/timer_types.h"
#include "hw/virtio/virtio_types.h"
#include "hw/watchdog/watchdog_types.h"
#include "target/i386/kvm_devices.h"
#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

template <size_t Version>
std::shared_ptr<Object> make_pc() {
  return std::make_shared<PcMachine>(Version);
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
  register_mem_types(registry);
  register_misc_types(registry);
  register_rtc_types(registry);
  register_scsi_types(registry);
  register_timer_types(registry);
  register_watchdog_types(registry);
  register_virtio_types(registry);
}

}  // namespace rhea
