// The command list by which guest firmware places and links the ACPI tables (fw_cfg file
// "etc/table-loader"): allocate a file, write a pointer into it, fill in a checksum.
// Each command is one 128-byte little-endian record; file names are 56 bytes, NUL-padded.
#pragma once

#include <cstdint>
#include <string_view>

#include "util/byte_buffer.h"

namespace rhea {

// Collects linker commands and puts them in an order that works: allocations, then pointers, then
// checksums, since a checksum covers the pointers inside its range. Offsets and lengths come from
// our own table builder and must lie inside the files they name.
class TableLinker {
 public:
  static constexpr size_t kRecordBytes = 128;
  static constexpr size_t kNameBytes = 56;
  enum class Command : uint32_t { kAllocate = 1, kAddPointer = 2, kAddChecksum = 3, kWritePointer = 4 };
  enum class Zone : uint8_t { kHigh = 1, kFSegment = 2 };  // anywhere below 4 GiB; 0xf0000-0xfffff

  // Loads fw_cfg file `file` into memory aligned to `alignment` (a power of two).
  void allocate(std::string_view file, uint32_t alignment, Zone zone);
  // Adds the address of `source` to the `size`-byte little-endian number at `offset` in `dest`.
  void add_pointer(std::string_view dest, uint32_t offset, uint8_t size, std::string_view source);
  // Sets the byte at `at` so that bytes [start, start + length) of `file` sum to zero.
  void add_checksum(std::string_view file, uint32_t at, uint32_t start, uint32_t length);
  // Writes the address of `source` plus `source_offset` back into the writable fw_cfg file `dest`.
  void write_pointer(std::string_view dest, uint32_t offset, uint8_t size, std::string_view source,
                     uint32_t source_offset);

  // The command file; within each of the three groups records keep call order.
  Bytes finish() const;

 private:
  Bytes allocations_;
  Bytes pointers_;
  Bytes checksums_;
};

}  // namespace rhea
