// The ACPI tables of the i440FX/PIIX machine, as the three fw_cfg files guest firmware links.
// Spec: ACPI 6.4; the FADT is revision 3 (244 bytes), the RSDP revision 0 with an RSDT.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hw/acpi/table_set.h"
#include "hw/core/numa.h"
#include "util/byte_buffer.h"

namespace rhea {

// Everything the tables say about the machine. Built by the machine when the guest first reads a
// table, so that PCI windows programmed by the firmware are known.
// A PCI bus with slots that devices come to and go from, as the guest's ACPI code sees it.
struct AcpiPciFunction;
struct AcpiPciBus {
  std::optional<uint32_t> number;  // by which the hotplug registers select it; none: nothing comes or goes
  std::vector<AcpiPciFunction> functions;  // empty slots included, by address
};
struct AcpiPciFunction {
  int devfn = 0;
  bool ejectable = false;          // what is or comes there may leave
  std::vector<AcpiPciBus> behind;  // of a bridge: one
};

struct AcpiConfig {
  struct Cpu {
    uint32_t apic_id = 0;
    bool present = true;  // an absent CPU is listed as disabled
    uint32_t node = 0;    // NUMA node
  };
  struct Range {
    uint64_t first = 0, last = 0;  // inclusive guest-physical addresses
  };
  std::vector<Cpu> cpus;      // in order of CPU index, which is the ACPI processor UID
  uint64_t ram_below_4g = 0;  // bytes; the 32-bit PCI window begins here
  uint64_t ram_above_4g = 0;
  NumaConfig numa;  // no nodes: no SRAT, SLIT and HMAT
  bool hmat = false;
  std::optional<Range> pci_hole64;  // above 4 GiB, if the machine offers one
  uint16_t pm_base = 0x600;         // PIIX4 power management block: PM1 event, PM1 control, timer
  uint16_t gpe0_base = 0xafe0;      // general purpose events, status then enable
  uint8_t gpe0_bytes = 4;
  uint8_t sci_irq = 9;
  struct Floppy {
    uint8_t cmos_type = 0;  // 0: no drive
    uint8_t last_track = 0, last_sector = 0, last_head = 0;
  };
  bool fdc = false;                          // a floppy controller at 0x3f0, IRQ 6, DMA 2
  std::vector<Floppy> floppies;              // its drives, at most 2
  std::optional<uint16_t> cpu_hotplug_base;  // registers by which processors come and go, 12 ports
  std::optional<uint16_t> pci_hotplug_base;  // registers by which PCI functions come and go, 24 ports
  AcpiPciBus pci_root;
  unsigned memory_slots = 0;          // for modules that come and go; their registers' place is fixed
  std::optional<Range> module_range;  // where such modules can be
  std::vector<bool> serial_ports;     // which of COM1 (0x3f8, IRQ 4) and COM2 (0x2f8, IRQ 3) exist
  bool rtc = true;
  bool keyboard = true;  // i8042 with keyboard and mouse
  bool fw_cfg = true;
  uint32_t hpet_id = 0;  // the event timers' block id, 0: there are none
  bool s3 = false;       // suspend to RAM offered
  uint8_t s4_type = 2;   // SLP_TYP of S4
  std::optional<uint16_t> pvpanic_port;
  bool vmgenid = false;  // the generation id's page is there as a fw_cfg file
  bool s4 = true;        // suspend to disk offered, SLP_TYP 2
  AcpiIdentity identity;
};

// Highest 32-bit address a PCI BAR may take: the I/O APIC follows.
inline constexpr uint64_t kPciHole32Last = 0xfebf'ffff;
inline constexpr uint32_t kIoApicBase = 0xfec0'0000;
inline constexpr uint32_t kLocalApicBase = 0xfee0'0000;
inline constexpr uint32_t kHpetBase = 0xfed0'0000, kHpetBytes = 0x400;

// File names under which the machine publishes the three blobs.
inline constexpr const char* kAcpiTablesFile = "etc/acpi/tables";
inline constexpr const char* kAcpiRsdpFile = "etc/acpi/rsdp";
inline constexpr const char* kAcpiLoaderFile = "etc/table-loader";
// The guest sees the sizes rounded up to these multiples, so that they do not change when the machine does.
inline constexpr size_t kAcpiTablesUnit = 0x20000;
inline constexpr size_t kAcpiLoaderUnit = 0x1000;

struct AcpiFiles {
  Bytes tables;
  Bytes rsdp;
  Bytes loader;
};

// The bodies of SRAT, SLIT and HMAT.
Bytes build_srat_body(const AcpiConfig& config);
Bytes build_slit_body(const AcpiConfig& config);
Bytes build_hmat_body(const AcpiConfig& config);

// What the MADT says of processor `uid`; its _MAT says the same.
Bytes madt_cpu_entry(uint32_t uid, const AcpiConfig::Cpu& cpu);

// Builds all tables. Pure: equal configurations give equal bytes.
AcpiFiles build_acpi_files(const AcpiConfig& config);

// The AML of the DSDT, without the table header.
Bytes build_dsdt_body(const AcpiConfig& config);

}  // namespace rhea
