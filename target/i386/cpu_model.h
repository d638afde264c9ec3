// CPU models: which processor -cpu names, and the CPUID table it answers with.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accel/cpuid.h"
#include "target/i386/cpu_features.h"
#include "util/result.h"

namespace rhea {

/// What a model is besides its features.
enum class CpuModelKind : uint8_t {
  kNamed,
  kBase,  ///< no feature, no identity
  kMax,   ///< everything the accelerator supports
  kHost,  ///< the same, under KVM only
};

/// Caches that a model's guests are told of.
enum class CpuCaches : uint8_t { kCommon, kEpyc, kEpycRome, kEpycMilan };

struct CpuModelData;

/// A model as delivered: what a processor is before properties change it.
struct X86CpuModel {
  std::string name;         ///< "Nehalem", "Nehalem-v2"
  std::string type_name;    ///< "Nehalem-v2-x86_64-cpu"
  std::string description;  ///< for `-cpu help`
  std::string alias_of;     ///< the version it stands for; empty if it is one itself
  CpuModelKind kind = CpuModelKind::kNamed;
  bool versioned = false;   ///< the name of a version
  const char* vendor = "";  ///< 12 letters
  uint32_t family = 0, model = 0, stepping = 0;
  uint32_t level = 0, xlevel = 0, xlevel2 = 0;  ///< highest leaf of each range, at least
  const char* model_id = "";
  CpuCaches caches = CpuCaches::kCommon;
  const CpuModelData* data = nullptr;
  unsigned version = 1;

  bool all_features() const { return kind == CpuModelKind::kMax || kind == CpuModelKind::kHost; }
  FeatureBits features() const;
};

/// Sorted as `-cpu help` shows them.
std::span<const X86CpuModel> cpu_models();
/// Null if there is none of that name.
const X86CpuModel* find_cpu_model(std::string_view name);
/// What `-cpu help` prints.
std::string cpu_models_help();

/// "-cpu model,feat=on,-feat,+feat". Where the forms are mixed, "+" wins over "=", and "-" over "+".
struct CpuOption {
  const X86CpuModel* model = nullptr;
  std::vector<std::pair<std::string, std::string>> properties;  ///< of "name=value", in their order
  std::vector<std::string> plus, minus;
  std::vector<std::string> ambiguous;  ///< warnings
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
  uint32_t level = 0, level_func7 = 0, xlevel = 0, xlevel2 = 0;
  uint32_t phys_bits = 40;
  CpuCaches caches = CpuCaches::kCommon;
  bool legacy_cache = true;  ///< the small caches that every old model was given
  bool l3_cache = true;
  bool leaf_0xb = true;
  bool vendor_cpuid_only = true;  ///< leaf 2 and 4 are Intel's, 0x8000001d AMD's
  bool kvm_leaves = false;        ///< shows the hypervisor's leaves
  uint32_t kvm_leaves_at = 0x40000000;
  uint32_t tsc_khz = 0, bus_khz = 0;  ///< for leaf 0x40000010; 0: left out
  FeatureBits features{};
  CpuTopology topology;
  CpuPlace place{};
  CpuidTable hyperv;  ///< leaves of Hyper-V; empty: none
  /// The accelerator's table, for XSAVE's component sizes; null if it has none.
  const CpuidTable* supported = nullptr;
};
CpuidTable build_cpuid(const CpuIdentity& cpu);

}  // namespace rhea
