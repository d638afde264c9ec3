// The feature bits of processors, CPUID's and those of feature MSRs, and the names that -cpu, libvirt and QMP
// know them by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "accel/cpuid.h"

namespace rhea {

/// A register of a CPUID leaf, or an MSR, that holds feature bits.
enum class FeatureWord : uint8_t {
  k1Edx,
  k1Ecx,
  k7Ebx,
  k7Ecx,
  k7Edx,
  k7_1Eax,
  k80000001Edx,
  k80000001Ecx,
  k80000007Edx,
  k80000008Ebx,
  kC0000001Edx,
  kKvm,       // 0x40000001 EAX
  kKvmHints,  // 0x40000001 EDX
  kSvm,       // 0x8000000a EDX
  kXsave,     // 0xd, subleaf 1, EAX
  k6Eax,
  kXcr0Low,   // 0xd, subleaf 0, EAX
  kXcr0High,  // 0xd, subleaf 0, EDX
  k14Ecx,
  kSgxEax,
  kSgxEbx,
  kSgx1Eax,
  kXssLow,   // 0xd, subleaf 1, ECX
  kXssHigh,  // 0xd, subleaf 1, EDX
  // The rest are MSRs.
  kArchCapabilities,
  kCoreCapability,
  kPerfCapabilities,
  kVmxPinbased,
  kVmxProcbased,
  kVmxSecondary,
  kVmxExit,
  kVmxEntry,
  kVmxMisc,
  kVmxEptVpid,
  kVmxBasic,
  kVmxFunc,
};
inline constexpr size_t kFeatureWords = 36;
inline constexpr size_t kCpuidWords = 24;  ///< the words before these are registers of CPUID

enum class CpuidRegister : uint8_t { kEax, kEbx, kEcx, kEdx };

struct FeatureWordInfo {
  uint32_t function;  ///< the leaf; for an MSR, its number
  uint32_t index;
  bool indexed;
  CpuidRegister reg;
  uint64_t unmigratable = 0;   ///< bits that models max and host leave out unless migratable=off
  uint64_t not_automatic = 0;  ///< bits that models max and host have only when asked for
};
const FeatureWordInfo& feature_word(FeatureWord word);
inline bool is_msr(FeatureWord word) {
  return static_cast<size_t>(word) >= kCpuidWords;
}

using FeatureBits = std::array<uint64_t, kFeatureWords>;

struct FeatureBit {
  FeatureWord word;
  uint8_t bit;
};

/// What XCR0 may hold, by component, and which feature brings it (SDM 1, 13.1).
struct XsaveComponent {
  unsigned bit;
  FeatureBit feature;
};
inline constexpr XsaveComponent kXsaveComponents[] = {
    {0, {FeatureWord::k1Edx, 0}},   {1, {FeatureWord::k1Edx, 25}}, {2, {FeatureWord::k1Ecx, 28}},
    {3, {FeatureWord::k7Ebx, 14}},  {4, {FeatureWord::k7Ebx, 14}}, {5, {FeatureWord::k7Ebx, 16}},
    {6, {FeatureWord::k7Ebx, 16}},  {7, {FeatureWord::k7Ebx, 16}}, {9, {FeatureWord::k7Ecx, 3}},
    {17, {FeatureWord::k7Edx, 24}}, {18, {FeatureWord::k7Edx, 24}}};

/// A bit and its name. A few names stand for two bits of one word.
struct FeatureName {
  FeatureWord word;
  uint8_t bit;
  const char* name;
};
/// All named bits, in the words' order.
std::span<const FeatureName> feature_names();
/// The bits that have a name.
uint64_t named_bits(FeatureWord word);
/// By its current name; null if there is none.
const FeatureName* find_feature(std::string_view name);
/// Null if the bit has no name.
const char* feature_name(FeatureWord word, unsigned bit);

/// Where two names are one property; the old one is accepted everywhere.
struct FeatureAlias {
  const char* old;
  const char* now;
};
std::span<const FeatureAlias> feature_aliases();

/// Bits that mean nothing without another one.
struct FeatureDependency {
  FeatureBit needs;
  FeatureWord word;
  uint64_t bits;
};
std::span<const FeatureDependency> feature_dependencies();

/// The register of `leaf` that holds `word`'s bits.
uint32_t& feature_register(CpuidLeaf& leaf, FeatureWord word);
/// The bits of `word`, no MSR, that `table` has.
uint32_t features_in(const CpuidTable& table, FeatureWord word);

/// The property name that `name` stands for: underscores become hyphens, and old spellings the current ones.
std::string canonical_feature_name(std::string_view name);

/// "CPUID.80000001H:ECX.svm [bit 2]", "MSR(10AH).rdctl-no [bit 0]": how a warning names a bit.
std::string feature_text(FeatureWord word, unsigned bit);

}  // namespace rhea
