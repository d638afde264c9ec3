// The memory map given to firmware in fw_cfg file "etc/e820": 20-byte little-endian records.
// Spec: ACPI 6.4 table 15.4 (address range types).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "util/byte_buffer.h"

namespace rhea {

enum class E820Type : uint32_t { kRam = 1, kReserved = 2 };

struct E820Entry {
  uint64_t address = 0;  // guest-physical
  uint64_t bytes = 0;
  E820Type type = E820Type::kRam;
};

// RAM from 0 and from 4 GiB; a part of size zero is left out.
std::vector<E820Entry> ram_map(uint64_t ram_below_4g, uint64_t ram_above_4g);

Bytes encode_e820(std::span<const E820Entry> entries);

}  // namespace rhea
