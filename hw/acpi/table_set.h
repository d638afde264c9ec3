// A file of ACPI tables under construction: standard headers, pointers and checksums left to the
// firmware's linker. Spec: ACPI 6.4, section 5.2.6 (System Description Table Header).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hw/acpi/table_linker.h"
#include "util/byte_buffer.h"

namespace rhea {

// What the guest sees as the maker of every table. The defaults are what guests of this machine
// type have always seen; some operating systems key licences and quirks on them.
struct AcpiIdentity {
  std::string oem_id = "BOCHS ";          // 6 characters
  std::string oem_table_id = "BXPC    ";  // 8 characters
  uint32_t oem_revision = 1;
  std::string creator_id = "BXPC";  // 4 characters
  uint32_t creator_revision = 1;
};

// Appends tables to one fw_cfg file and records the linker commands that go with them.
class TableSet {
 public:
  static constexpr size_t kHeaderBytes = 36;

  TableSet(std::string file, AcpiIdentity identity)
      : file_(std::move(file)), identity_(std::move(identity)) {}

  // Fills up with zeros to a multiple of `unit` bytes.
  void align(size_t unit) { data_.align(unit); }
  // Appends bytes that carry no standard header (the FACS); returns their offset in the file.
  uint32_t append_raw(std::span<const uint8_t> bytes);
  // Appends a standard table around `body` and a checksum command; returns its offset in the file.
  // `oem_table_id` replaces the identity's, if given.
  uint32_t append_table(std::string_view signature, uint8_t revision, std::span<const uint8_t> body,
                        std::string_view oem_table_id = {});
  // Makes the `size`-byte field at `field` (offset in the file) point at offset `target`. Call it
  // after the table that holds the field was appended.
  void link(uint32_t field, uint8_t size, uint32_t target);

  const std::string& file() const { return file_; }
  const AcpiIdentity& identity() const { return identity_; }
  TableLinker& linker() { return linker_; }
  Bytes take() { return data_.take(); }

 private:
  std::string file_;
  AcpiIdentity identity_;
  ByteBuffer data_;
  TableLinker linker_;
};

}  // namespace rhea
