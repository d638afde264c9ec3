// What guest firmware does with "etc/table-loader", for tests: runs the linker commands over copies of
// the fw_cfg files, checking every bound.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "hw/i386/acpi_tables.h"

namespace rhea::test {

struct LoadedFile {
  uint64_t address = 0;
  Bytes bytes;
};

// Files by name after linking, or an `error` that says which command was wrong.
struct LinkedTables {
  std::map<std::string, LoadedFile> files;
  std::string error;
};
LinkedTables run_linker(const AcpiFiles& files);

// The little-endian number at `offset`; all ones when it is out of range.
uint64_t read_le(const Bytes& bytes, size_t offset, unsigned width);

// Table bytes by signature, found by walking RSDP, RSDT and FADT; "error" holds what was wrong.
std::map<std::string, Bytes> walk_tables(const LinkedTables& linked);

}  // namespace rhea::test
