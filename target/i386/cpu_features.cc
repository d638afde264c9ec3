#include "target/i386/cpu_features.h"

#include <algorithm>
#include <vector>

#include "target/i386/cpu_feature_table.h"
#include "util/str.h"

namespace rhea {

namespace {

constexpr uint64_t kAll = ~uint64_t{0};
constexpr uint64_t kAll32 = 0xffff'ffff;

constexpr FeatureWordInfo leaf(uint32_t function, CpuidRegister reg) {
  return {.function = function, .index = 0, .indexed = false, .reg = reg};
}
constexpr FeatureWordInfo subleaf(uint32_t function, uint32_t index, CpuidRegister reg) {
  return {.function = function, .index = index, .indexed = true, .reg = reg};
}
constexpr FeatureWordInfo msr(uint32_t number) {
  return {.function = number, .index = 0, .indexed = false, .reg = CpuidRegister::kEax};
}
constexpr FeatureWordInfo unmigratable(FeatureWordInfo info, uint64_t bits) {
  info.unmigratable = bits;
  return info;
}
constexpr FeatureWordInfo not_automatic(FeatureWordInfo info, uint64_t bits) {
  info.not_automatic = bits;
  return info;
}

using enum CpuidRegister;
constexpr uint64_t kInvtsc = 1u << 8, kCpuFeaturesTopoext = 1u << 22, kLbrFormat = 0x3f;

/// In the order of FeatureWord.
constexpr FeatureWordInfo kWords[kFeatureWords] = {
    leaf(1, kEdx), leaf(1, kEcx), subleaf(7, 0, kEbx), subleaf(7, 0, kEcx), subleaf(7, 0, kEdx),
    subleaf(7, 1, kEax), leaf(0x80000001, kEdx), not_automatic(leaf(0x80000001, kEcx), kCpuFeaturesTopoext),
    unmigratable(leaf(0x80000007, kEdx), kInvtsc), leaf(0x80000008, kEbx), leaf(0xc0000001, kEdx),
    leaf(0x40000001, kEax), not_automatic(leaf(0x40000001, kEdx), kAll32), leaf(0x8000000a, kEdx),
    subleaf(0xd, 1, kEax), leaf(6, kEax), subleaf(0xd, 0, kEax), subleaf(0xd, 0, kEdx),
    subleaf(0x14, 0, kEcx), subleaf(0x12, 0, kEax), subleaf(0x12, 0, kEbx), subleaf(0x12, 1, kEax),
    subleaf(0xd, 1, kEcx), subleaf(0xd, 1, kEdx), msr(0x10a), msr(0xcf),
    // The format of branch records is that of the processor that writes them.
    not_automatic(msr(0x345), kLbrFormat), msr(0x48d), msr(0x48e), msr(0x48b), msr(0x48f), msr(0x490),
    msr(0x485), msr(0x48c), msr(0x480), msr(0x491)};

constexpr FeatureBit kVmx{FeatureWord::k1Ecx, 5}, kSvmBit{FeatureWord::k80000001Ecx, 2};
constexpr FeatureBit kArch{FeatureWord::k7Edx, 29}, kCore{FeatureWord::k7Edx, 30};
constexpr FeatureBit kPdcm{FeatureWord::k1Ecx, 15}, kLongMode{FeatureWord::k80000001Edx, 29};
constexpr FeatureBit kPt{FeatureWord::k7Ebx, 25}, kMpx{FeatureWord::k7Ebx, 14};
constexpr FeatureBit kEpt{FeatureWord::kVmxSecondary, 1}, kVpid{FeatureWord::kVmxSecondary, 5};

/// What needs what, a word after the words it depends on (SDM 3, appendix A; AMD APM 2, 15).
constexpr FeatureDependency kDependencies[] = {
    {kArch, FeatureWord::kArchCapabilities, kAll},
    {kCore, FeatureWord::kCoreCapability, kAll},
    {kPdcm, FeatureWord::kPerfCapabilities, kAll},
    {kVmx, FeatureWord::kVmxProcbased, kAll},
    {kVmx, FeatureWord::kVmxPinbased, kAll},
    {kVmx, FeatureWord::kVmxExit, kAll},
    {kVmx, FeatureWord::kVmxEntry, kAll},
    {kVmx, FeatureWord::kVmxMisc, kAll},
    {kVmx, FeatureWord::kVmxBasic, kAll},
    {kLongMode, FeatureWord::kVmxEntry, 1u << 9},  // IA-32e mode guest
    {{FeatureWord::kVmxProcbased, 31}, FeatureWord::kVmxSecondary, kAll},
    {{FeatureWord::kXsave, 3}, FeatureWord::kVmxSecondary, 1u << 20},  // XSAVES
    {{FeatureWord::k1Ecx, 30}, FeatureWord::kVmxSecondary, 1u << 11},  // RDRAND
    {{FeatureWord::k7Ebx, 10}, FeatureWord::kVmxSecondary, 1u << 12},  // INVPCID
    {kMpx, FeatureWord::kVmxExit, 1u << 23},
    {kMpx, FeatureWord::kVmxEntry, 1u << 16},
    {{FeatureWord::k7Ebx, 18}, FeatureWord::kVmxSecondary, 1u << 16},  // RDSEED
    {kPt, FeatureWord::k14Ecx, kAll},
    {{FeatureWord::k80000001Edx, 27}, FeatureWord::kVmxSecondary, 1u << 3},  // RDTSCP
    {kEpt, FeatureWord::kVmxSecondary, 1u << 7},                             // unrestricted guest
    {kEpt, FeatureWord::kVmxEptVpid, kAll32},
    {kVpid, FeatureWord::kVmxEptVpid, kAll32 << 32},
    {{FeatureWord::kVmxSecondary, 13}, FeatureWord::kVmxFunc, kAll},
    {kSvmBit, FeatureWord::kSvm, kAll},
};

constexpr std::string_view kRegisterNames[] = {"EAX", "EBX", "ECX", "EDX"};

std::string upper_hex(uint32_t number, int digits) {
  std::string text = hex(number, digits);
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  return text;
}

}  // namespace

const FeatureWordInfo& feature_word(FeatureWord word) {
  return kWords[static_cast<size_t>(word)];
}

std::span<const FeatureName> feature_names() {
  return kFeatureNames;
}

std::span<const FeatureAlias> feature_aliases() {
  return kFeatureAliases;
}

std::span<const FeatureDependency> feature_dependencies() {
  return kDependencies;
}

uint64_t named_bits(FeatureWord word) {
  static const auto all = [] {
    FeatureBits bits{};
    for (const FeatureName& f : kFeatureNames) bits[static_cast<size_t>(f.word)] |= uint64_t{1} << f.bit;
    return bits;
  }();
  return all[static_cast<size_t>(word)];
}

const FeatureName* find_feature(std::string_view name) {
  static const auto sorted = [] {
    std::vector<const FeatureName*> list;
    for (const FeatureName& f : kFeatureNames) list.push_back(&f);
    std::ranges::stable_sort(list, {}, [](const FeatureName* f) { return std::string_view(f->name); });
    return list;
  }();
  auto at = std::ranges::lower_bound(sorted, name, {},
                                     [](const FeatureName* f) { return std::string_view(f->name); });
  return at != sorted.end() && name == (*at)->name ? *at : nullptr;
}

const char* feature_name(FeatureWord word, unsigned bit) {
  for (const FeatureName& f : kFeatureNames)
    if (f.word == word && f.bit == bit) return f.name;
  return nullptr;
}

uint32_t& feature_register(CpuidLeaf& leaf, FeatureWord word) {
  switch (feature_word(word).reg) {
    case CpuidRegister::kEax:
      return leaf.eax;
    case CpuidRegister::kEbx:
      return leaf.ebx;
    case CpuidRegister::kEcx:
      return leaf.ecx;
    default:
      return leaf.edx;
  }
}

uint32_t features_in(const CpuidTable& table, FeatureWord word) {
  const FeatureWordInfo& info = feature_word(word);
  const CpuidLeaf* leaf = find_cpuid(table, info.function, info.index);
  return leaf == nullptr ? 0 : feature_register(const_cast<CpuidLeaf&>(*leaf), word);
}

std::string canonical_feature_name(std::string_view name) {
  std::string text(name);
  std::ranges::replace(text, '_', '-');
  for (const FeatureAlias& a : kFeatureAliases)
    if (text == a.old) return a.now;
  return text == "hv-apicv" ? "hv-avic" : text;
}

std::string feature_text(FeatureWord word, unsigned bit) {
  const FeatureWordInfo& info = feature_word(word);
  std::string text = is_msr(word) ? str_cat("MSR(", upper_hex(info.function, 1), "H)")
                                  : str_cat("CPUID.", upper_hex(info.function, 2),
                                            "H:", kRegisterNames[static_cast<size_t>(info.reg)]);
  if (const char* name = feature_name(word, bit)) str_append(text, ".", name);
  str_append(text, " [bit ", bit, "]");
  return text;
}

}  // namespace rhea
