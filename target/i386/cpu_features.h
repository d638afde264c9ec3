// The feature bits of CPUID and the names that -cpu, libvirt and QMP know them by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "accel/cpuid.h"

namespace rhea {

/// A register of a CPUID leaf that holds feature bits.
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
  kKvm,    // 0x40000001 EAX
  kSvm,    // 0x8000000a EDX
  kXsave,  // 0xd, subleaf 1, EAX
  k6Eax,
};
inline constexpr size_t kFeatureWords = 14;

enum class CpuidRegister : uint8_t { kEax, kEbx, kEcx, kEdx };

struct FeatureWordInfo {
  uint32_t function;
  uint32_t index;
  bool indexed;
  CpuidRegister reg;
  std::array<const char*, 32> names;  ///< by bit; null: no name
  uint32_t unmigratable = 0;          ///< bits that -cpu host leaves out unless migratable=off
};
const FeatureWordInfo& feature_word(FeatureWord word);

using FeatureBits = std::array<uint32_t, kFeatureWords>;

struct FeatureBit {
  FeatureWord word;
  uint8_t bit;
};
/// All named bits, in the words' order.
inline constexpr size_t kMaxNamedFeatures = kFeatureWords * 32;

/// The register of `leaf` that holds `word`'s bits.
uint32_t& feature_register(CpuidLeaf& leaf, FeatureWord word);
/// The bits of `word` that `table` has.
uint32_t features_in(const CpuidTable& table, FeatureWord word);

/// The property name that `name` stands for: underscores become hyphens, and old spellings the current ones.
std::string canonical_feature_name(std::string_view name);

/// "CPUID.80000001H:ECX.svm [bit 2]": how a warning names a bit.
std::string feature_text(FeatureWord word, unsigned bit);

}  // namespace rhea
