// The guest's page tables, as debuggers look at them. Spec: SDM volume 3, chapter 4 (paging).
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "accel/x86_state.h"
#include "util/result.h"

namespace rhea {

/// Reads `bytes` (4 or 8) of guest-physical memory, little endian.
using X86ReadPhysical = std::function<uint64_t(uint64_t address, unsigned bytes)>;

/// One page as the tables map it. Rights are those of all levels together.
struct X86Page {
  uint64_t linear = 0;  ///< canonical
  uint64_t physical = 0;
  uint64_t bytes = 0;  ///< 4 KiB to 1 GiB
  uint64_t entry = 0;  ///< the entry that maps it, as it stands in the table
  bool user = false, writable = false;
};

/// Whether CR0 turns paging on; without it linear addresses are physical.
bool x86_paging(const X86State& state);

/// Where `linear` is mapped, rights aside; nothing if no page is there.
std::optional<uint64_t> x86_translate(const X86State& state, uint64_t linear, const X86ReadPhysical& read);

/// Calls `visit` for each mapped page, lowest linear address first (as the tables count), until it returns
/// false. Tables are guest-controlled and may show the same page everywhere: at most `max_tables` are read.
/// False if that stopped it.
bool x86_for_each_page(const X86State& state, const X86ReadPhysical& read, size_t max_tables,
                       const std::function<bool(const X86Page&)>& visit);

/// A register by the name people use: "eax", "rip", "sp", "cs", "cs.base", "cr3" …: "unknown register".
Result<uint64_t> x86_register(const X86State& state, std::string_view name);

/// 16, 32 or 64: what the processor takes instructions for.
unsigned x86_code_bits(const X86State& state);

}  // namespace rhea
