#include "target/i386/cpu_slots.h"

#include "hw/core/numa.h"
#include "util/log.h"

namespace rhea {

namespace {

bool matches(const NumaCpu& rule, const CpuPlace& place, size_t index) {
  auto fits = [](const std::optional<int64_t>& id, unsigned actual) { return !id || *id == int64_t{actual}; };
  return fits(rule.index, static_cast<unsigned>(index)) && fits(rule.socket, place.socket) &&
         fits(rule.die, place.die) && fits(rule.core, place.core) && fits(rule.thread, place.thread);
}

}  // namespace

CpuSlots& cpu_slots() {
  static auto& slots = *new CpuSlots;
  return slots;
}

Result<> assign_nodes(CpuSlots& slots, const NumaConfig& numa) {
  for (const NumaCpu& rule : numa.cpus) {
    for (size_t i = 0; i < slots.list.size(); ++i) {
      CpuSlot& slot = slots.list[i];
      if (!matches(rule, slot.place, i)) continue;
      if (slot.node_id && *slot.node_id != rule.node)
        return fail(EINVAL, "CPU is already assigned to node-id: ", *slot.node_id);
      slot.node_id = rule.node;
    }
  }
  if (!numa.any()) return {};
  std::string missing;
  for (size_t i = 0; i < slots.list.size(); ++i) {
    CpuSlot& slot = slots.list[i];
    if (slot.node_id) continue;
    str_append(missing, missing.empty() ? "" : ", ", "CPU ", i, " [socket-id: ", slot.place.socket,
               ", core-id: ", slot.place.core, ", thread-id: ", slot.place.thread, "]");
    slot.node_id = slot.place.socket % numa.nodes.size();
  }
  if (missing.empty() || numa.cpus.empty()) return {};
  warn_report(str_cat("CPU(s) not present in any NUMA nodes: ", missing));
  warn_report(
      "All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial NUMA "
      "mappings is obsoleted and will be removed in future");
  return {};
}

}  // namespace rhea
