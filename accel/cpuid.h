// The table a processor answers CPUID from (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).
#pragma once

#include <cstdint>
#include <vector>

namespace rhea {

/// One leaf, or one subleaf where `indexed`.
struct CpuidLeaf {
  uint32_t function = 0;
  uint32_t index = 0;
  bool indexed = false;  ///< `index` (ECX) matters
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  friend bool operator==(const CpuidLeaf&, const CpuidLeaf&) = default;
};

using CpuidTable = std::vector<CpuidLeaf>;

/// The leaf of `table` that answers `function` and `index`; null if there is none.
inline const CpuidLeaf* find_cpuid(const CpuidTable& table, uint32_t function, uint32_t index = 0) {
  for (const CpuidLeaf& leaf : table)
    if (leaf.function == function && (!leaf.indexed || leaf.index == index)) return &leaf;
  return nullptr;
}

}  // namespace rhea
