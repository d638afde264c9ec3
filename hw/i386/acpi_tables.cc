// The fixed ACPI tables (FACS, FADT, MADT, WAET, HPET, RSDT, RSDP) and the file set around them.
// Spec: ACPI 6.4 section 5.2; "Windows ACPI Emulated Devices Table" (Microsoft, 2009); IA-PC HPET 1.0a.
#include "hw/i386/acpi_tables.h"

#include "hw/acpi/aml.h"
#include "hw/acpi/vmgenid.h"

#include <algorithm>

namespace rhea {
namespace {

// --- FADT, 5.2.9 -------------------------------------------------------------------------------

enum FadtFlag : uint32_t {
  kWbinvd = 1u << 0,
  kProcC1 = 1u << 2,
  kSleepButtonAbsent = 1u << 5,
  kRtcS4 = 1u << 7,
  kResetRegister = 1u << 10,
  kUsePlatformClock = 1u << 15,
  kForceApicCluster = 1u << 18,
};
enum BootFlag : uint16_t { kLegacyDevices = 1u << 0, kI8042 = 1u << 1 };
constexpr unsigned kFlatLogicalCpus = 8;  // more need the clustered destination model
constexpr uint8_t kSmiCommandPort = 0xb2, kAcpiEnable = 0xf1, kAcpiDisable = 0xf0;
constexpr uint16_t kResetPort = 0xcf9;
constexpr uint8_t kResetValue = 0x0f;
constexpr uint8_t kCenturyRegister = 0x32;  // in CMOS
constexpr uint8_t kFadtRevision = 3;
constexpr uint32_t kFadtFacs = 36, kFadtDsdt = 40, kFadtXDsdt = 140;  // offsets in the table

// Generic Address Structure for an I/O port (5.2.3.2).
void io_address(ByteBuffer& b, uint16_t port, uint8_t bits) {
  b.u8(1).u8(bits).u8(0).u8(0).u64(port);
}

uint32_t fadt_flags(const AcpiConfig& c) {
  uint32_t flags = kWbinvd | kProcC1 | kSleepButtonAbsent | kRtcS4 | kResetRegister | kUsePlatformClock;
  return c.cpus.size() > kFlatLogicalCpus ? flags | kForceApicCluster : flags;
}

void fadt_legacy_blocks(ByteBuffer& b, const AcpiConfig& c) {
  b.u32(c.pm_base).u32(0).u32(c.pm_base + 4u).u32(0).u32(0).u32(c.pm_base + 8u);
  b.u32(c.gpe0_base).u32(0);
  b.u8(4).u8(2).u8(0).u8(4).u8(c.gpe0_bytes).u8(0).u8(0);  // lengths; GPE1 base
  b.u8(0);                                                 // no _CST notification
  b.u16(0xfff).u16(0xfff);                                 // C2 and C3 latency: not supported
  b.u16(0).u16(0).u8(0).u8(0);                             // cache flush, duty cycle
  b.u8(0).u8(0).u8(kCenturyRegister);
}

void fadt_extended_blocks(ByteBuffer& b, const AcpiConfig& c) {
  io_address(b, c.pm_base, 32);
  b.zeros(12);
  io_address(b, static_cast<uint16_t>(c.pm_base + 4), 16);
  b.zeros(12).zeros(12);
  io_address(b, static_cast<uint16_t>(c.pm_base + 8), 32);
  io_address(b, c.gpe0_base, static_cast<uint8_t>(c.gpe0_bytes * 8));
  b.zeros(12);
}

Bytes fadt_body(const AcpiConfig& c) {
  ByteBuffer b;
  b.u32(0).u32(0);  // FACS and DSDT: linked later
  b.u8(1).u8(0).u16(c.sci_irq);
  b.u32(kSmiCommandPort).u8(kAcpiEnable).u8(kAcpiDisable).u8(0).u8(0);
  fadt_legacy_blocks(b, c);
  b.u16(static_cast<uint16_t>(kLegacyDevices | (c.keyboard ? kI8042 : 0))).u8(0).u32(fadt_flags(c));
  io_address(b, kResetPort, 8);
  b.u8(kResetValue).u16(0).u8(0);
  b.u64(0).u64(0);  // X_FIRMWARE_CTRL unused; X_DSDT linked later
  fadt_extended_blocks(b, c);
  return b.take();
}

Bytes facs() {
  ByteBuffer b;
  b.text("FACS").u32(64).zeros(56);
  return b.take();
}

// --- MADT, 5.2.12 ------------------------------------------------------------------------------

constexpr uint16_t kIsaLevelHigh = 0x0d;       // active high, level triggered (5.2.12.5)
constexpr uint32_t kAcpiTablesXapicIds = 255;  // larger ids need an x2APIC entry

bool has_wide_apic_ids(const AcpiConfig& c) {
  return std::any_of(c.cpus.begin(), c.cpus.end(),
                     [](auto& cpu) { return cpu.apic_id >= kAcpiTablesXapicIds; });
}

void madt_override(ByteBuffer& b, uint8_t irq, uint32_t gsi, uint16_t flags) {
  b.u8(2).u8(10).u8(0).u8(irq).u32(gsi).u16(flags);
}

Bytes madt_body(const AcpiConfig& c) {
  ByteBuffer b;
  b.u32(kLocalApicBase).u32(1);  // two 8259s are present as well
  for (uint32_t i = 0; i < c.cpus.size(); i++) b.raw(madt_cpu_entry(i, c.cpus[i]));
  b.u8(1).u8(12).u8(0).u8(0).u32(kIoApicBase).u32(0);
  madt_override(b, 0, 2, 0);
  for (uint8_t irq : {5, 9, 10, 11}) madt_override(b, irq, irq, kIsaLevelHigh);
  if (has_wide_apic_ids(c)) {
    b.u8(10).u8(12).u16(0).u32(0xffff'ffff).u8(1).zeros(3);  // LINT1 is NMI on every CPU
  } else {
    b.u8(4).u8(6).u8(0xff).u16(0).u8(1);
  }
  return b.take();
}

// --- Small tables ------------------------------------------------------------------------------

constexpr uint32_t kWaetPmTimerGood = 1u << 1;  // one read of the PM timer suffices

Bytes waet_body() {
  return ByteBuffer().u32(kWaetPmTimerGood).take();
}

Bytes hpet_body(const AcpiConfig& config) {
  ByteBuffer b;
  b.u32(config.hpet_id).u8(0).u8(0).u8(0).u8(0).u64(kHpetBase);
  b.u8(0).u16(0).u8(0);  // sequence number, minimum tick, page protection
  return b.take();
}

// docs/specs/vmgenid: VGIA is where the firmware has put the page; the guest is told of it back through
// fw_cfg.
uint32_t append_vmgenid(TableSet& set) {
  using namespace aml;                          // NOLINT: AML throughout
  constexpr uint32_t kVgiaAt = 36 + 1 + 4 + 1;  // header, NameOp, "VGIA", DWordPrefix
  const TermList address{store(package({num(0), num(0)}), local(0)),
                         store(add(named("VGIA"), num(VmGenId::kIdAt)), index(local(0), num(0))),
                         store(num(0), index(local(0), num(1))), return_(local(0))};
  const TermList status{store(num(0x0f), local(0)),
                        if_(equal(named("VGIA"), num(0)), {store(num(0), local(0))}), return_(local(0))};
  TermList root{name("VGIA", num32(0))};
  root.add(scope("\\_SB", {device("VGEN", {name("_HID", str("QEMUVGID")), name("_CID", str("VM_Gen_Counter")),
                                           name("_DDN", str("VM_Gen_Counter")),
                                           method("_STA", 0, Serialize::kNo, status),
                                           method("ADDR", 0, Serialize::kNo, address)})}));
  root.add(method("\\_GPE._E05", 0, Serialize::kNo, {notify(named("\\_SB.VGEN"), num(0x80))}));
  const uint32_t table = set.append_table("SSDT", 1, root.bytes(), "VMGENID");
  TableLinker& linker = set.linker();
  linker.allocate(VmGenId::kPageFile, VmGenId::kPageBytes, TableLinker::Zone::kHigh);
  linker.write_pointer(VmGenId::kAddressFile, 0, VmGenId::kAddressBytes, VmGenId::kPageFile, VmGenId::kIdAt);
  linker.add_pointer(set.file(), table + kVgiaAt, 4, VmGenId::kPageFile);
  return table;
}

uint32_t append_fadt(TableSet& set, const AcpiConfig& config, uint32_t facs_at, uint32_t dsdt_at) {
  uint32_t fadt = set.append_table("FACP", kFadtRevision, fadt_body(config));
  set.link(fadt + kFadtFacs, 4, facs_at);
  set.link(fadt + kFadtDsdt, 4, dsdt_at);
  set.link(fadt + kFadtXDsdt, 8, dsdt_at);
  return fadt;
}

uint32_t append_rsdt(TableSet& set, const std::vector<uint32_t>& tables) {
  Bytes body(tables.size() * 4);
  uint32_t rsdt = set.append_table("RSDT", 1, body);
  for (uint32_t i = 0; i < tables.size(); i++) {
    set.link(rsdt + static_cast<uint32_t>(TableSet::kHeaderBytes) + 4 * i, 4, tables[i]);
  }
  return rsdt;
}

// Revision 0 (ACPI 1.0), 20 bytes: what 32-bit firmware and every guest understand (5.2.5.3).
Bytes build_rsdp(TableSet& set, uint32_t rsdt) {
  constexpr uint32_t kChecksumAt = 8, kRsdtAt = 16, kBytes = 20;
  ByteBuffer b;
  b.text("RSD PTR ").u8(0).fixed(set.identity().oem_id, 6, ' ').u8(0).u32(rsdt);
  set.linker().allocate(kAcpiRsdpFile, 16, TableLinker::Zone::kFSegment);
  set.linker().add_pointer(kAcpiRsdpFile, kRsdtAt, 4, set.file());
  set.linker().add_checksum(kAcpiRsdpFile, kChecksumAt, 0, kBytes);
  return b.take();
}

}  // namespace

Bytes madt_cpu_entry(uint32_t uid, const AcpiConfig::Cpu& cpu) {
  ByteBuffer b;
  if (cpu.apic_id < kAcpiTablesXapicIds && uid < kAcpiTablesXapicIds) {
    b.u8(0).u8(8).u8(static_cast<uint8_t>(uid)).u8(static_cast<uint8_t>(cpu.apic_id)).u32(cpu.present);
  } else {
    b.u8(9).u8(16).u16(0).u32(cpu.apic_id).u32(cpu.present).u32(uid);
  }
  return b.take();
}

AcpiFiles build_acpi_files(const AcpiConfig& config) {
  TableSet set(kAcpiTablesFile, config.identity);
  set.linker().allocate(kAcpiTablesFile, 64, TableLinker::Zone::kHigh);  // the FACS wants 64
  uint32_t facs_at = set.append_raw(facs());
  uint32_t dsdt = set.append_table("DSDT", 1, build_dsdt_body(config));
  std::vector<uint32_t> tables{append_fadt(set, config, facs_at, dsdt)};
  tables.push_back(set.append_table("APIC", has_wide_apic_ids(config) ? 3 : 1, madt_body(config)));
  if (config.hpet_id != 0) tables.push_back(set.append_table("HPET", 1, hpet_body(config)));
  if (config.numa.any()) {
    tables.push_back(set.append_table("SRAT", 1, build_srat_body(config)));
    if (!config.numa.distances.empty())
      tables.push_back(set.append_table("SLIT", 1, build_slit_body(config)));
    if (config.hmat) tables.push_back(set.append_table("HMAT", 2, build_hmat_body(config)));
  }
  tables.push_back(set.append_table("WAET", 1, waet_body()));
  if (config.vmgenid) tables.push_back(append_vmgenid(set));
  uint32_t rsdt = append_rsdt(set, tables);
  AcpiFiles files;
  files.rsdp = build_rsdp(set, rsdt);
  files.loader = set.linker().finish();
  files.tables = set.take();
  return files;
}

}  // namespace rhea
