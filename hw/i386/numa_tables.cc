// SRAT, SLIT and HMAT: which processors and memory are near each other.
// Spec: ACPI 6.4 sections 5.2.16, 5.2.17 and 5.2.27.
#include <algorithm>

#include "hw/i386/acpi_tables.h"

namespace rhea {

namespace {

constexpr uint64_t kLowHoleFirst = 640 * 1024, kLowHoleEnd = 1024 * 1024, kFourGiB = uint64_t{1} << 32;
constexpr uint32_t kEnabled = 1, kHotpluggable = 2;
constexpr uint32_t kNumaTablesXapicIds = 255;  // larger ids need an x2APIC entry

void srat_cpu(ByteBuffer& b, const AcpiConfig::Cpu& cpu) {
  if (cpu.apic_id < kNumaTablesXapicIds) {
    b.u8(0).u8(16).u8(static_cast<uint8_t>(cpu.node)).u8(static_cast<uint8_t>(cpu.apic_id)).u32(kEnabled);
    b.u8(0).zeros(3).u32(0);  // SAPIC EID, the node's upper bytes, clock domain
  } else {
    b.u8(2).u8(24).u16(0).u32(cpu.node).u32(cpu.apic_id).u32(kEnabled).u32(0).u32(0);
  }
}

void srat_memory(ByteBuffer& b, uint32_t node, uint64_t base, uint64_t bytes, uint32_t flags) {
  b.u8(1).u8(40).u32(node).u16(0).u64(base).u64(bytes).u32(0).u32(flags).u64(0);
}

/// The stretches of guest-physical memory of a node that holds [first, end) of RAM.
unsigned srat_node(ByteBuffer& b, uint32_t node, uint64_t first, uint64_t end, uint64_t below_4g) {
  unsigned entries = 0;
  auto add = [&](uint64_t from, uint64_t to) {
    if (from >= to) return;
    srat_memory(b, node, from, to - from, kEnabled);
    ++entries;
  };
  const uint64_t low_end = std::min(end, below_4g);
  add(first, std::min(low_end, kLowHoleFirst));
  add(std::max(first, first < kLowHoleFirst ? kLowHoleEnd : first), low_end);
  if (end > below_4g) add(kFourGiB + std::max(first, below_4g) - below_4g, kFourGiB + end - below_4g);
  return entries;
}

}  // namespace

Bytes build_srat_body(const AcpiConfig& c) {
  ByteBuffer b;
  b.u32(1).u64(0);  // both fields are reserved; the first must be 1
  for (const AcpiConfig::Cpu& cpu : c.cpus) srat_cpu(b, cpu);
  unsigned entries = 0;
  uint64_t at = 0;
  for (uint32_t i = 0; i < c.numa.nodes.size(); ++i) {
    const uint64_t bytes = c.numa.nodes[i].bytes;
    if (bytes != 0) entries += srat_node(b, i, at, at + bytes, c.ram_below_4g);
    at += bytes;
  }
  // The table's size must not depend on how the nodes lie.
  for (; entries < c.numa.nodes.size() + 2; ++entries) srat_memory(b, 0, 0, 0, 0);
  if (c.module_range) {  // a module tells its node itself; until then the whole is the last one's
    const auto node = static_cast<uint32_t>(c.numa.nodes.size() - 1);
    srat_memory(b, node, c.module_range->first, c.module_range->last - c.module_range->first + 1,
                kEnabled | kHotpluggable);
  }
  return b.take();
}

Bytes build_slit_body(const AcpiConfig& c) {
  ByteBuffer b;
  const size_t n = c.numa.nodes.size();
  b.u64(n);
  for (size_t from = 0; from < n; ++from)
    for (size_t to = 0; to < n; ++to) b.u8(c.numa.distances[from][to]);
  return b.take();
}

namespace {

void hmat_domain(ByteBuffer& b, uint32_t node, const NumaNode& info) {
  b.u16(0).u16(0).u32(40).u16(info.initiator ? 1 : 0).u16(0);
  b.u32(info.initiator.value_or(0)).u32(node).u32(0).u64(0).u64(0);
}

/// The largest unit in which all figures are whole numbers that fit; 0xffff means no way.
uint64_t common_unit(const std::vector<HmatEntry>& entries, bool latency) {
  constexpr uint64_t kPicoseconds = 1000, kMiB = uint64_t{1} << 20;
  const uint64_t smallest = latency ? kPicoseconds : kMiB;
  if (latency) {
    uint64_t unit = smallest;
    auto all_divide = [&](uint64_t u) {
      return std::ranges::all_of(entries,
                                 [&](const HmatEntry& e) { return e.value * kPicoseconds % u == 0; });
    };
    while (all_divide(unit * 10) && unit < UINT64_MAX / 100) unit *= 10;
    return unit;
  }
  uint64_t unit = kMiB;
  auto all_divide = [&](uint64_t u) {
    return std::ranges::all_of(entries, [&](const HmatEntry& e) { return e.value % u == 0; });
  };
  while (unit < uint64_t{1} << 60 && all_divide(unit << 1)) unit <<= 1;
  return unit;
}

void hmat_figures(ByteBuffer& b, const NumaConfig& numa, unsigned hierarchy, unsigned type) {
  const auto& entries = numa.hmat[hierarchy][type];
  const bool latency = type < kHmatDataTypes / 2;
  constexpr uint64_t kPicoseconds = 1000, kMiB = uint64_t{1} << 20;
  const uint64_t unit = common_unit(entries, latency);
  std::vector<uint32_t> initiators;
  for (uint32_t i = 0; i < numa.nodes.size(); ++i)
    if (numa.nodes[i].has_cpu) initiators.push_back(i);
  const size_t targets = numa.nodes.size();
  b.u16(1).u16(0).u32(
      static_cast<uint32_t>(32 + 4 * initiators.size() + 4 * targets + 2 * initiators.size() * targets));
  b.u8(static_cast<uint8_t>(hierarchy)).u8(static_cast<uint8_t>(type)).u16(0);
  b.u32(static_cast<uint32_t>(initiators.size())).u32(static_cast<uint32_t>(targets)).u32(0);
  b.u64(latency ? unit : unit / kMiB);
  for (uint32_t i : initiators) b.u32(i);
  for (uint32_t t = 0; t < targets; ++t) b.u32(t);
  for (uint32_t i : initiators)
    for (uint32_t t = 0; t < targets; ++t) {
      uint64_t figure = 0;
      for (const HmatEntry& e : entries)
        if (e.initiator == i && e.target == t) figure = (latency ? e.value * kPicoseconds : e.value) / unit;
      b.u16(static_cast<uint16_t>(figure));
    }
}

void hmat_cache(ByteBuffer& b, uint32_t node, const HmatCache& cache, unsigned levels) {
  b.u16(2).u16(0).u32(32).u32(node).u32(0).u64(cache.size);
  b.u32(levels | uint32_t{cache.level} << 4 | uint32_t{cache.associativity} << 8 |
        uint32_t{cache.policy} << 12 | uint32_t{cache.line} << 16);
  b.u16(0).u16(0);
}

}  // namespace

Bytes build_hmat_body(const AcpiConfig& c) {
  ByteBuffer b;
  b.u32(0);
  for (uint32_t i = 0; i < c.numa.nodes.size(); ++i)
    if (c.numa.nodes[i].bytes != 0 || c.numa.nodes[i].initiator) hmat_domain(b, i, c.numa.nodes[i]);
  for (unsigned hierarchy = 0; hierarchy < kHmatHierarchies; ++hierarchy)
    for (unsigned type = 0; type < kHmatDataTypes; ++type)
      if (!c.numa.hmat[hierarchy][type].empty()) hmat_figures(b, c.numa, hierarchy, type);
  for (uint32_t i = 0; i < c.numa.nodes.size(); ++i) {
    const auto& caches = c.numa.nodes[i].caches;
    const auto levels =
        static_cast<unsigned>(std::ranges::count_if(caches, [](const auto& l) { return l.has_value(); }));
    for (const auto& cache : caches)
      if (cache) hmat_cache(b, i, *cache, levels);
  }
  return b.take();
}

}  // namespace rhea
