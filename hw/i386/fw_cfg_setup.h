// Fills fw_cfg with what firmware of the PC machine looks for: memory map, tables, boot order, kernel.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hw/core/machine.h"
#include "hw/i386/acpi_tables.h"
#include "hw/i386/e820.h"
#include "hw/i386/linux_boot.h"
#include "hw/i386/smbios.h"
#include "hw/nvram/fw_cfg_store.h"

namespace rhea {

struct FwCfgUserFile {  // -fw_cfg name=...,file=... or string=...
  std::string name;
  Bytes data;
};

// Boot behaviour asked for with -boot.
struct FwCfgBoot {
  std::vector<std::string> order;  // firmware device paths, first choice first
  bool strict = false;             // try nothing that is not in the order
  bool menu = false;
  std::optional<uint16_t> splash_time_ms;     // how long the menu prompt stays
  std::optional<uint32_t> reboot_timeout_ms;  // reboot after a failed boot; never without it
};

struct FwCfgConfig {
  bool dma = true;  // the device offers DMA
  std::array<uint8_t, 16> uuid{};
  uint64_t ram_below_4g = 0, ram_above_4g = 0;  // bytes
  std::vector<E820Entry> reserved;              // e.g. pages that KVM takes on Intel hosts
  uint16_t cpus = 1;                            // started at reset
  uint16_t apic_id_limit = 1;                   // largest possible APIC id plus one
  bool graphics = true;
  std::optional<uint16_t> serial_console_port;  // SeaBIOS shows its output there; 0x3f8 without graphics
  bool s3 = false, s4 = true;                   // must agree with the ACPI tables
  uint8_t s4_type = 2;                          // SLP_TYP of S4
  bool irq0_override = true;                    // IRQ 0 arrives at I/O APIC input 2
  uint64_t reserved_memory_end = 0;             // where addresses kept for memory modules end; 0: none are
  uint32_t hpet_id = 0;                         // as AcpiConfig has it
  std::optional<uint64_t> msr_feature_control;  // value for IA32_FEATURE_CONTROL, if guests get VMX
  FwCfgBoot boot;
  SmbiosConfig smbios;
  std::function<AcpiConfig()> acpi;  // asked each time the guest selects a table file; empty: no ACPI
  std::optional<LinuxBoot> linux_boot;
  std::vector<FwCfgUserFile> user_files;
};

// Error: a user file whose name is taken or bad, too many files, SMBIOS tables too large.
Result<> setup_fw_cfg(FwCfgStore& store, FwCfgConfig config);

// The picture of -boot splash=, under the name that tells the firmware its format. Error: there is no such
// file, or it is neither JPEG nor a BMP of 24 bits.
Result<FwCfgUserFile> load_boot_splash(const MachineConfig& config);

// The contents of file "bootorder": paths separated by newlines, "HALT" last if `strict`, and a NUL.
Bytes encode_boot_order(const std::vector<std::string>& order, bool strict);

}  // namespace rhea
