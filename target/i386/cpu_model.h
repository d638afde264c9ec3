// CPU models: which processor -cpu names, and the CPUID table it answers with.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accel/cpuid.h"
#include "target/i386/cpu_features.h"
#include "util/result.h"

namespace rhea {

/// A model as delivered: what a processor is before properties change it.
struct CpuModelInfo {
  const char* name;         ///< "qemu64"
  const char* description;  ///< for `-cpu help`
  const char* vendor;       ///< 12 letters; null: the host's
  uint32_t family, model, stepping;
  uint32_t level, xlevel;  ///< highest basic and extended leaf, at least
  const char* model_id;
  FeatureBits features;
  bool all_features = false;   ///< everything the accelerator supports ("max")
  bool host_identity = false;  ///< family, model and name are the host's ("host")
};

std::vector<const CpuModelInfo*> cpu_models();
/// Null if there is none of that name.
const CpuModelInfo* find_cpu_model(std::string_view name);
/// What `-cpu help` prints.
std::string cpu_models_help();

/// "-cpu model,feat=on,-feat,+feat": the model, and the properties in the order in which they apply.
struct CpuOption {
  const CpuModelInfo* model = nullptr;
  std::vector<std::pair<std::string, std::string>> properties;
};
/// Fails with `unable to find CPU model 'x'`. Names of properties are not checked here.
Result<CpuOption> parse_cpu_option(std::string_view text);

/// Where the processors sit; all at least 1.
struct CpuTopology {
  unsigned sockets = 1, dies = 1, cores = 1, threads = 1;
};

/// Where processor `index` sits, and its APIC id: fields for thread, core, die and socket of as many bits as
/// each needs (SDM 3, 9.9.1).
struct CpuPlace {
  unsigned socket, die, core, thread;
  uint32_t apic_id;
};
CpuPlace cpu_place(const CpuTopology& topology, unsigned index);

/// A processor to be: everything that decides its CPUID.
struct CpuIdentity {
  std::string vendor, model_id;  ///< at most 12 and 48 letters
  uint32_t family = 0, model = 0, stepping = 0;
  uint32_t level = 0, xlevel = 0;
  uint32_t phys_bits = 40;
  bool kvm_leaves = false;  ///< shows the hypervisor's leaves
  FeatureBits features{};
  CpuTopology topology;
  CpuPlace place{};
  /// The accelerator's table, for XSAVE's component sizes; null if it has none.
  const CpuidTable* supported = nullptr;
};
CpuidTable build_cpuid(const CpuIdentity& cpu);

}  // namespace rhea
