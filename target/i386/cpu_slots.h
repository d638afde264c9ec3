// The places for processors that a machine has, taken or free.
#pragma once

#include <optional>
#include <vector>

#include "target/i386/cpu_model.h"

namespace rhea {

struct CpuSlot {
  CpuPlace place{};
  std::optional<int64_t> node_id;  ///< NUMA node; none without -numa
};

/// By cpu-index. Empty without a machine that has processors. Main loop.
struct CpuSlots {
  CpuTopology topology;
  const X86CpuModel* model = nullptr;
  std::vector<CpuSlot> list;
};
CpuSlots& cpu_slots();

}  // namespace rhea
