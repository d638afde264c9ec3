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

struct NumaConfig;
/// Gives each place the node that `numa` says; places it says nothing of go by their socket, with a warning
/// where others were named. A place given two nodes is an error.
Result<> assign_nodes(CpuSlots& slots, const NumaConfig& numa);

}  // namespace rhea
