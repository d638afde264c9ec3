// NUMA: which processors and which memory are near each other, as -numa and set-numa-node say.
// Terms of the HMAT: ACPI 6.4, section 5.2.27.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/result.h"

namespace rhea {

struct NumaOptions;

inline constexpr unsigned kMaxNumaNodes = 128;
inline constexpr uint8_t kNumaLocal = 10, kNumaRemote = 20;  ///< SLIT's distances
inline constexpr unsigned kHmatHierarchies = 4;              ///< memory, first to third level side cache
inline constexpr unsigned kHmatDataTypes = 6;                ///< latency then bandwidth; access, read, write

/// One figure of the HMAT between two nodes.
struct HmatEntry {
  uint16_t initiator = 0, target = 0;
  uint64_t value = 0;  ///< ns, or bytes a second
};

struct HmatCache {
  uint64_t size = 0;                      ///< bytes
  uint8_t level = 0;                      ///< 1 to 3
  uint8_t associativity = 0, policy = 0;  ///< as in the table
  uint16_t line = 0;
};

struct NumaNode {
  bool present = false;
  uint64_t bytes = 0;
  std::string memdev;  ///< id of its memory backend; empty: none
  std::optional<uint16_t> initiator;
  bool has_cpu = false;
  std::array<std::optional<HmatCache>, 4> caches;  ///< by level
};

/// What to tell of a processor's place; absent fields match any.
struct NumaCpu {
  uint16_t node = 0;
  std::optional<int64_t> index, socket, die, core, thread;
};

struct NumaConfig {
  std::vector<NumaNode> nodes;
  std::vector<NumaCpu> cpus;
  std::vector<std::vector<uint8_t>> distances;  ///< [from][to]; 0: not said
  std::array<std::array<std::vector<HmatEntry>, kHmatDataTypes>, kHmatHierarchies> hmat;
  bool any() const { return !nodes.empty(); }
};

/// What the machine's type and -smp allow.
struct NumaLimits {
  bool mem_allowed = false;  ///< nodes by their memory size alone
  bool hmat = false;         ///< -machine hmat=on
  unsigned max_cpus = 1;
  unsigned sockets = 1, dies = 1, cores = 1, threads = 1;
};

/// Adds one -numa option. On failure `config` is as before.
Result<> numa_add(NumaConfig& config, const NumaOptions& option, const NumaLimits& limits);

/// Once all options are in: fills in what they leave open, and checks that the nodes make a machine of
/// `ram_bytes`.
Result<> numa_complete(NumaConfig& config, uint64_t ram_bytes);

}  // namespace rhea
