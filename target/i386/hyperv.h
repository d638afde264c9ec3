// Hyper-V enlightenments: what Windows looks for in a hypervisor, as far as KVM plays it.
// Spec: Microsoft, "Hypervisor Top Level Functional Specification"; Documentation/virt/kvm/api.rst.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "accel/cpuid.h"
#include "qom/object.h"
#include "util/result.h"

namespace rhea {

enum class HypervFeature : uint8_t {
  kRelaxed,
  kVapic,
  kTime,
  kCrash,
  kReset,
  kVpindex,
  kRuntime,
  kSynic,
  kStimer,
  kFrequencies,
  kReenlightenment,
  kTlbflush,
  kEvmcs,
  kIpi,
  kStimerDirect,
  kAvic,
  kSyndbg,
  kXmmInput,
  kEmsrBitmap,
  kTlbflushExt,
  kTlbflushDirect,
};
inline constexpr unsigned kHypervFeatures = 21;

/// The hv-* properties of a processor.
struct HypervOptions {
  uint32_t features = 0;            ///< by HypervFeature
  uint32_t spinlocks = UINT32_MAX;  ///< retries before the hypervisor is told; UINT32_MAX: never
  std::string vendor_id;            ///< empty: "Microsoft Hv"
  bool passthrough = false;         ///< everything the host has
  bool enforce_cpuid = false;       ///< the guest gets an error for what CPUID does not show
  bool synic_kvm_only = false;
  OnOffAuto no_nonarch_coresharing = OnOffAuto::kOff;
  uint32_t version_build = 14393, version_service_pack = 0, version_service_number = 0;
  uint16_t version_major = 10, version_minor = 0;
  uint8_t version_service_branch = 0;
  int32_t max_vps = -1;  ///< -1: KVM's number

  bool has(HypervFeature f) const { return features >> static_cast<unsigned>(f) & 1; }
  /// Whether a guest is shown any of it.
  bool any() const { return features != 0 || passthrough || spinlocks != UINT32_MAX; }
};

struct HypervFeatureInfo {
  const char* name;         ///< the property, "hv-relaxed"
  const char* description;  ///< for messages
  uint32_t function;        ///< the leaf that shows it
  char reg;                 ///< its register, 'a' to 'd'
  uint32_t bits;            ///< that show it
  uint32_t needs;           ///< other features, by HypervFeature
};
const HypervFeatureInfo& hyperv_feature(HypervFeature f);

/// The leaves from 0x40000000 up for `options`; `host` is what KVM can do (KVM_GET_SUPPORTED_HV_CPUID). What
/// is missing in the host or needs what was not asked for is an error. With passthrough `options` becomes
/// what the host has.
Result<CpuidTable> build_hyperv_leaves(HypervOptions& options, const CpuidTable& host);

}  // namespace rhea
