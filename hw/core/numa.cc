#include "hw/core/numa.h"

#include <algorithm>

#include "memory/backend.h"
#include "qapi/qapi_types_machine.h"

namespace rhea {

namespace {

NumaNode& node_at(NumaConfig& config, size_t id) {
  if (config.nodes.size() <= id) config.nodes.resize(id + 1);
  return config.nodes[id];
}

bool known(const NumaConfig& config, uint64_t id) {
  return id < config.nodes.size() && config.nodes[id].present;
}

Result<> add_node(NumaConfig& config, const NumaNodeOptions& o, const NumaLimits& limits) {
  const auto count = static_cast<size_t>(std::ranges::count_if(config.nodes, &NumaNode::present));
  const size_t id = o.nodeid.value_or(static_cast<uint16_t>(count));
  if (id >= kMaxNumaNodes) return fail(EINVAL, "Max number of NUMA nodes reached: ", id);
  if (known(config, id)) return fail(EEXIST, "Duplicate NUMA nodeid: ", id);
  if (o.initiator && !limits.hmat)
    return fail(
        EINVAL,
        "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with -machine hmat=on "
        "before using any of hmat specific options");
  if (o.initiator && *o.initiator >= kMaxNumaNodes)
    return fail(EINVAL, "The initiator id ", *o.initiator, " expects an integer between 0 and ",
                kMaxNumaNodes - 1);
  if (o.mem && o.memdev) return fail(EINVAL, "cannot specify both mem= and memdev=");
  for (uint16_t cpu : o.cpus.value_or(std::vector<uint16_t>{}))
    if (cpu >= limits.max_cpus)
      return fail(EINVAL, "CPU index (", cpu, ") should be smaller than maxcpus (", limits.max_cpus, ")");
  uint64_t bytes = 0;
  if (o.mem) {
    if (!limits.mem_allowed) {
      Error error(EINVAL, "Parameter -numa node,mem is not supported by this machine type");
      return Failure(std::move(error).with_hint("Use -numa node,memdev instead"));
    }
    bytes = *o.mem;
  }
  if (o.memdev) {
    auto* backend = dynamic_cast<MemoryBackend*>(qom_root().container("/objects").child(*o.memdev));
    if (backend == nullptr) return fail(ENOENT, "memdev=", *o.memdev, " is ambiguous");
    bytes = backend->size;
  }
  NumaNode& node = node_at(config, id);
  node.present = true;
  node.bytes = bytes;
  node.memdev = o.memdev.value_or("");
  node.initiator = o.initiator;
  for (uint16_t cpu : o.cpus.value_or(std::vector<uint16_t>{}))
    config.cpus.push_back({.node = static_cast<uint16_t>(id), .index = cpu});
  if (o.cpus && !o.cpus->empty()) node.has_cpu = true;
  return {};
}

Result<> add_distance(NumaConfig& config, const NumaDistOptions& o) {
  if (o.src >= kMaxNumaNodes || o.dst >= kMaxNumaNodes)
    return fail(EINVAL, "Parameter '", o.src >= kMaxNumaNodes ? "src" : "dst",
                "' expects an integer between 0 and ", kMaxNumaNodes - 1);
  if (!known(config, o.src) || !known(config, o.dst))
    return fail(
        EINVAL,
        "Source/Destination NUMA node is missing. Please use '-numa node' option to declare it first.");
  if (o.val < kNumaLocal)
    return fail(EINVAL, "NUMA distance (", unsigned{o.val}, ") is invalid, it shouldn't be less than ",
                unsigned{kNumaLocal}, ".");
  if (o.src == o.dst && o.val != kNumaLocal)
    return fail(EINVAL, "Local distance of node ", o.src, " should be ", unsigned{kNumaLocal}, ".");
  config.distances.resize(kMaxNumaNodes, std::vector<uint8_t>(kMaxNumaNodes, 0));
  config.distances[o.src][o.dst] = o.val;
  return {};
}

Result<> add_cpu(NumaConfig& config, const NumaCpuOptions& o, const NumaLimits& limits) {
  if (!o.node_id) return fail(EINVAL, "Missing mandatory node-id property");
  if (*o.node_id < 0 || !known(config, static_cast<uint64_t>(*o.node_id)))
    return fail(
        EINVAL, "Invalid node-id=", *o.node_id,
        ", NUMA node must be defined with -numa node,nodeid=ID before it's used with -numa cpu,node-id=ID");
  if (o.cluster_id) return fail(EINVAL, "cluster-id is not supported");
  auto fits = [](const std::optional<int64_t>& id, unsigned count) {
    return !id || (*id >= 0 && *id < count);
  };
  if (!fits(o.socket_id, limits.sockets) || !fits(o.die_id, limits.dies) || !fits(o.core_id, limits.cores) ||
      !fits(o.thread_id, limits.threads))
    return fail(EINVAL, "no match found");
  config.cpus.push_back({.node = static_cast<uint16_t>(*o.node_id),
                         .index = {},
                         .socket = o.socket_id,
                         .die = o.die_id,
                         .core = o.core_id,
                         .thread = o.thread_id});
  config.nodes[static_cast<size_t>(*o.node_id)].has_cpu = true;
  return {};
}

Result<> add_hmat_figure(NumaConfig& config, const NumaHmatLBOptions& o) {
  if (!known(config, o.initiator))
    return fail(EINVAL, "Invalid initiator=", o.initiator, ", it should be less than ", config.nodes.size());
  if (!config.nodes[o.initiator].has_cpu)
    return fail(EINVAL, "Invalid initiator=", o.initiator, ", it isn't an initiator proximity domain");
  if (!known(config, o.target))
    return fail(EINVAL, "Invalid target=", o.target, ", it should be less than ", config.nodes.size());
  const auto type = static_cast<size_t>(o.data_type);
  const bool latency = type < kHmatDataTypes / 2;
  if (latency && o.bandwidth) return fail(EINVAL, "Invalid parameter 'bandwidth' for a latency");
  if (latency && !o.latency) return fail(EINVAL, "Missing 'latency' option");
  if (!latency && o.latency) return fail(EINVAL, "Invalid option 'latency' since the data type is bandwidth");
  if (!latency && !o.bandwidth) return fail(EINVAL, "Missing 'bandwidth' option");
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  const uint64_t value = latency ? *o.latency : *o.bandwidth;
  if (!latency && value % kMiB != 0)
    return fail(EINVAL, "Bandwidth ", value, " between initiator=", o.initiator, " and target=", o.target,
                " should be 1MB aligned");
  auto& entries = config.hmat[static_cast<size_t>(o.hierarchy)][type];
  for (const HmatEntry& e : entries)
    if (e.initiator == o.initiator && e.target == o.target)
      return fail(EEXIST, "Duplicate configuration of the ", latency ? "latency" : "bandwidth",
                  " for initiator=", o.initiator, " and target=", o.target);
  entries.push_back({o.initiator, o.target, value});
  return {};
}

Result<> add_hmat_cache(NumaConfig& config, const NumaHmatCacheOptions& o) {
  if (o.node_id >= config.nodes.size() || !known(config, o.node_id))
    return fail(EINVAL, "Invalid node-id=", o.node_id, ", it should be less than ", config.nodes.size());
  if (config.hmat[0][0].empty() && config.hmat[0][3].empty() && config.hmat[0][1].empty() &&
      config.hmat[0][4].empty())
    return fail(EINVAL, "The latency and bandwidth information of node-id=", o.node_id,
                " should be provided before memory side cache attributes");
  if (o.level < 1 || o.level > 3)
    return fail(EINVAL, "Invalid level=", unsigned{o.level},
                ", it should be larger than 0 and less than or equal to 3");
  NumaNode& node = config.nodes[o.node_id];
  if (node.caches[o.level])
    return fail(EEXIST, "Duplicate configuration of the side cache for node-id=", o.node_id,
                " and level=", unsigned{o.level});
  if (o.level > 1 && node.caches[o.level - 1u] && o.size <= node.caches[o.level - 1u]->size)
    return fail(EINVAL, "Invalid size=", o.size, ", the size of level=", unsigned{o.level},
                " should be larger than the size(", node.caches[o.level - 1u]->size,
                ") of level=", o.level - 1);
  if (o.level < 3 && node.caches[o.level + 1u] && o.size >= node.caches[o.level + 1u]->size)
    return fail(EINVAL, "Invalid size=", o.size, ", the size of level=", unsigned{o.level},
                " should be less than the size(", node.caches[o.level + 1u]->size,
                ") of level=", o.level + 1);
  node.caches[o.level] = HmatCache{.size = o.size,
                                   .level = o.level,
                                   .associativity = static_cast<uint8_t>(o.associativity),
                                   .policy = static_cast<uint8_t>(o.policy),
                                   .line = o.line};
  return {};
}

Result<> complete_distances(NumaConfig& config) {
  if (config.distances.empty()) return {};
  const size_t n = config.nodes.size();
  auto& d = config.distances;
  bool asymmetric = false;
  for (size_t a = 0; a < n; ++a)
    for (size_t b = a; b < n; ++b) {
      if (d[a][b] == 0 && d[b][a] == 0 && a != b)
        return fail(EINVAL, "The distance between node ", a, " and ", b,
                    " is missing, at least one distance value between each nodes should be provided.");
      asymmetric |= d[a][b] != 0 && d[b][a] != 0 && d[a][b] != d[b][a];
    }
  for (size_t a = 0; a < n; ++a)
    for (size_t b = 0; b < n; ++b) {
      if (d[a][b] != 0) continue;
      if (asymmetric && a != b)
        return fail(EINVAL,
                    "At least one asymmetrical pair of distances is given, please provide distances for both "
                    "directions of all node pairs.");
      d[a][b] = a == b ? kNumaLocal : d[b][a];
    }
  return {};
}

}  // namespace

Result<> numa_add(NumaConfig& config, const NumaOptions& option, const NumaLimits& limits) {
  if (const auto* node = std::get_if<NumaNodeOptions>(&option.u)) return add_node(config, *node, limits);
  if (const auto* distance = std::get_if<NumaDistOptions>(&option.u)) return add_distance(config, *distance);
  if (const auto* cpu = std::get_if<NumaCpuOptions>(&option.u)) return add_cpu(config, *cpu, limits);
  if (!limits.hmat)
    return fail(
        EINVAL,
        "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with -machine hmat=on "
        "before using any of hmat specific options");
  if (const auto* figure = std::get_if<NumaHmatLBOptions>(&option.u)) return add_hmat_figure(config, *figure);
  return add_hmat_cache(config, std::get<NumaHmatCacheOptions>(option.u));
}

Result<> numa_complete(NumaConfig& config, uint64_t ram_bytes) {
  if (!config.any()) return {};
  uint64_t total = 0;
  size_t with_memdev = 0;
  for (size_t i = config.nodes.size(); i-- > 0;) {
    const NumaNode& node = config.nodes[i];
    if (!node.present) return fail(EINVAL, "numa: Node ID missing: ", i);
    total += node.bytes;
    with_memdev += !node.memdev.empty();
  }
  if (total != ram_bytes)
    return fail(EINVAL, "total memory for NUMA nodes (0x", hex(total), ") should equal RAM size (0x",
                hex(ram_bytes), ")");
  for (const NumaNode& node : config.nodes)
    if (with_memdev != 0 && node.memdev.empty() && node.bytes != 0)
      return fail(EINVAL, "numa configuration should use either mem= or memdev=, mixing both is not allowed");
  return complete_distances(config);
}

}  // namespace rhea
