#include "hw/i386/fw_cfg_setup.h"

#include "hw/i386/linuxboot_rom.h"

namespace rhea {
namespace {

constexpr uint32_t kFeatureTraditional = 1, kFeatureDma = 2;
constexpr uint32_t kNeverReboot = 0xffff'ffff;

Bytes le_bytes(uint64_t value, unsigned width) {
  return ByteBuffer().le(value, width).take();
}

// How many there are (0xff: nobody says), then eight times block id, address, minimum tick and protection.
Bytes hpet_blocks(uint32_t id) {
  constexpr size_t kBytes = 1 + 8 * 15;
  Bytes out = id == 0 ? Bytes{0xff} : ByteBuffer().u8(1).u32(id).u64(kHpetBase).take();
  out.resize(kBytes);
  return out;
}

void add_basics(FwCfgStore& s, const FwCfgConfig& c) {
  s.set(FwCfgKey::kSignature, {'Q', 'E', 'M', 'U'});
  s.set_u32(FwCfgKey::kFeatures, kFeatureTraditional | (c.dma ? kFeatureDma : 0));
  s.set(FwCfgKey::kUuid, Bytes(c.uuid.begin(), c.uuid.end()));
  s.set_u64(FwCfgKey::kRamSize, c.ram_below_4g + c.ram_above_4g);
  s.set_u16(FwCfgKey::kNoGraphic, c.graphics ? 0 : 1);
  s.set_u16(FwCfgKey::kCpuCount, c.cpus);
  s.set_u16(FwCfgKey::kMaxCpus, c.apic_id_limit);
  s.set_u16(FwCfgKey::kBootMenu, c.boot.menu ? 1 : 0);
  s.set_u32(FwCfgKey::kIrq0Override, c.irq0_override ? 1 : 0);
  s.set(FwCfgKey::kHpet, hpet_blocks(c.hpet_id));
  // Number of NUMA nodes (none), then the node of each possible CPU.
  s.set(FwCfgKey::kNuma, Bytes((1 + size_t{c.apic_id_limit}) * 8));
}

Result<> add_memory_map(FwCfgStore& s, const FwCfgConfig& c) {
  if (c.reserved_memory_end != 0)
    TRY(s.add_file("etc/reserved-memory-end", ByteBuffer().u64(c.reserved_memory_end).take()));
  std::vector<E820Entry> map = c.reserved;
  for (const E820Entry& e : ram_map(c.ram_below_4g, c.ram_above_4g)) map.push_back(e);
  return s.add_file("etc/e820", encode_e820(map));
}

Result<> add_smbios(FwCfgStore& s, const FwCfgConfig& c) {
  SmbiosFiles files = TRY(build_smbios(c.smbios));
  TRY(s.add_file(kSmbiosTablesFile, std::move(files.tables)));
  return s.add_file(kSmbiosAnchorFile, std::move(files.anchor));
}

// All three files come from one build, since the commands hold offsets into the tables.
Result<> add_acpi(FwCfgStore& s, std::function<AcpiConfig()> config) {
  auto rebuild = [&s, config = std::move(config)] {
    AcpiFiles files = build_acpi_files(config());
    // The files exist as long as the store does.
    std::ignore = s.replace_file(kAcpiTablesFile, std::move(files.tables));
    std::ignore = s.replace_file(kAcpiRsdpFile, std::move(files.rsdp));
    std::ignore = s.replace_file(kAcpiLoaderFile, std::move(files.loader));
  };
  TRY(s.add_file(kAcpiTablesFile, {}, {.unit = kAcpiTablesUnit, .before_select = rebuild}));
  TRY(s.add_file(kAcpiRsdpFile, {}, {.before_select = rebuild}));
  return s.add_file(kAcpiLoaderFile, {}, {.unit = kAcpiLoaderUnit, .before_select = rebuild});
}

// One byte a sleep state: bit 7 says that it is offered, the low bits hold its SLP_TYP.
Result<> add_sleep_states(FwCfgStore& s, const FwCfgConfig& c) {
  auto state = [](bool offered, uint8_t type) { return static_cast<uint8_t>((offered ? 0x80 : 0) | type); };
  return s.add_file("etc/system-states",
                    {state(true, 0), 0, 0, state(c.s3, 1), state(c.s4, c.s4_type), state(true, 0)});
}

Result<> add_boot(FwCfgStore& s, const FwCfgConfig& c) {
  std::vector<std::string> order = c.boot.order;
  if (c.linux_boot) order.insert(order.begin(), kLinuxBootRomBootPath);
  // Always there, if empty: firmware then keeps its own order.
  const bool silent = order.empty() && !c.boot.strict;
  TRY(s.add_file("bootorder", silent ? Bytes() : encode_boot_order(order, c.boot.strict)));
  if (c.boot.splash_time_ms) TRY(s.add_file("etc/boot-menu-wait", le_bytes(*c.boot.splash_time_ms, 2)));
  return s.add_file("etc/boot-fail-wait", le_bytes(c.boot.reboot_timeout_ms.value_or(kNeverReboot), 4));
}

void add_blob(FwCfgStore& s, FwCfgKey address_key, uint32_t address, FwCfgKey size_key, FwCfgKey data_key,
              Bytes data) {
  s.set_u32(address_key, address);
  s.set_u32(size_key, static_cast<uint32_t>(data.size()));
  s.set(data_key, std::move(data));
}

Result<> add_linux(FwCfgStore& s, LinuxBoot boot) {
  using enum FwCfgKey;
  add_blob(s, kCommandLineAddress, boot.command_line_address, kCommandLineSize, kCommandLineData,
           std::move(boot.command_line));
  add_blob(s, kSetupAddress, boot.setup_address, kSetupSize, kSetupData, std::move(boot.setup));
  add_blob(s, kKernelAddress, boot.kernel_address, kKernelSize, kKernelData, std::move(boot.kernel));
  add_blob(s, kInitrdAddress, boot.initrd_address, kInitrdSize, kInitrdData, std::move(boot.initrd));
  auto rom = linuxboot_rom();
  return s.add_file(kLinuxBootRomFile, Bytes(rom.begin(), rom.end()));
}

}  // namespace

Bytes encode_boot_order(const std::vector<std::string>& order, bool strict) {
  ByteBuffer b;
  for (const std::string& path : order) b.text(b.size() ? "\n" : "").text(path);
  if (strict) b.text(b.size() ? "\nHALT" : "HALT");
  return b.u8(0).take();
}

Result<> setup_fw_cfg(FwCfgStore& store, FwCfgConfig config) {
  add_basics(store, config);
  TRY(add_memory_map(store, config));
  TRY(add_smbios(store, config));
  TRY(add_sleep_states(store, config));
  TRY(add_boot(store, config));
  if (config.acpi) TRY(add_acpi(store, config.acpi));
  if (config.serial_console_port) {
    TRY(store.add_file("etc/sercon-port", le_bytes(*config.serial_console_port, 2)));
  }
  if (config.msr_feature_control) {
    TRY(store.add_file("etc/msr_feature_control", le_bytes(*config.msr_feature_control, 8)));
  }
  if (config.linux_boot) TRY(add_linux(store, std::move(*config.linux_boot)));
  for (FwCfgUserFile& f : config.user_files) TRY(store.add_file(std::move(f.name), std::move(f.data)));
  return {};
}

}  // namespace rhea
