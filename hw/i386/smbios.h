// SMBIOS 2.8 tables for firmware, with the 32-bit entry point.
// Spec: DMTF DSP0134 3.4, structures of version 2.8.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/byte_buffer.h"
#include "util/result.h"

namespace rhea {

// Texts of one structure; an empty text is left out. The defaults are what guests of this machine see.
struct SmbiosBios {  // type 0; without it the firmware adds its own
  std::string vendor, version, date;
  uint8_t major_release = 0, minor_release = 0;
  bool uefi = false;
};
struct SmbiosSystem {  // type 1
  std::string manufacturer = "QEMU";
  std::string product = "Standard PC (i440FX + PIIX, 1996)";
  std::string version = "pc-i440fx-7.2";
  std::string serial, sku, family;
};
struct SmbiosBaseboard {  // type 2, only if given
  std::string manufacturer, product, version, serial, asset_tag, location;
};
struct SmbiosChassis {  // type 3
  std::string manufacturer = "QEMU";
  std::string version = "pc-i440fx-7.2";
  std::string serial, asset_tag, sku;
};
struct SmbiosProcessor {  // type 4, one per socket
  std::string socket_prefix = "CPU";
  std::string manufacturer = "QEMU";
  std::string version = "pc-i440fx-7.2";
  uint32_t cpuid_eax = 0, cpuid_edx = 0;  // CPUID leaf 1
  uint16_t speed_mhz = 2000;
};

struct SmbiosConfig {
  std::optional<SmbiosBios> bios;
  SmbiosSystem system;
  std::optional<SmbiosBaseboard> baseboard;
  SmbiosChassis chassis;
  SmbiosProcessor processor;
  std::array<uint8_t, 16> uuid{};  // RFC 4122 byte order
  uint32_t sockets = 1, cores_per_socket = 1, threads_per_core = 1;
  uint64_t ram_below_4g = 0, ram_above_4g = 0;  // bytes
};

inline constexpr const char* kSmbiosTablesFile = "etc/smbios/smbios-tables";
inline constexpr const char* kSmbiosAnchorFile = "etc/smbios/smbios-anchor";

struct SmbiosFiles {
  Bytes tables;
  Bytes anchor;  // the table address is left zero: firmware places the tables
};

// Error: the structures do not fit the 65535 bytes that the entry point can describe, or a text
// holds a NUL.
Result<SmbiosFiles> build_smbios(const SmbiosConfig& config);

}  // namespace rhea
