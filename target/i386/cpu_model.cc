#include "target/i386/cpu_model.h"

#include <algorithm>
#include <bit>

#include "util/str.h"

namespace rhea {

namespace {

constexpr const char* kIntel = "GenuineIntel";
constexpr const char* kAmd = "AuthenticAMD";
constexpr const char* kVirtualName = "QEMU Virtual CPU version 2.5+";

template <class... B>
constexpr uint32_t bits(B... b) {
  return (0u | ... | (1u << b));
}

// Leaf 1 EDX: what 64-bit systems expect of a Pentium Pro and later: FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP
// PGE CMOV PAT MMX FXSR SSE SSE2.
constexpr uint32_t kBasicEdx = bits(0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 23, 24, 25, 26);
constexpr uint32_t kMtrrEtc = bits(12, 19, 14, 17);  // MTRR CLFLUSH MCA PSE36
constexpr uint32_t kVme = bits(1);
constexpr uint32_t kAmdShared = 0x0183f3ff;       // EDX bits that 0x80000001 repeats
constexpr uint32_t kLongMode = bits(29, 11, 20);  // LM SYSCALL NX
constexpr uint32_t kSse3 = bits(0), kCx16 = bits(13);
constexpr uint32_t kLahfLm = bits(0), kSvm = bits(2);

constexpr FeatureBits words(uint32_t edx, uint32_t ecx, uint32_t extended_edx, uint32_t extended_ecx) {
  FeatureBits f{};
  f[static_cast<size_t>(FeatureWord::k1Edx)] = edx;
  f[static_cast<size_t>(FeatureWord::k1Ecx)] = ecx;
  f[static_cast<size_t>(FeatureWord::k80000001Edx)] = extended_edx;
  f[static_cast<size_t>(FeatureWord::k80000001Ecx)] = extended_ecx;
  return f;
}

constexpr FeatureBits kQemu64 =
    words(kBasicEdx | kMtrrEtc, kSse3 | kCx16, (kBasicEdx & kAmdShared) | kLongMode, kLahfLm | kSvm);

constexpr CpuModelInfo kModels[] = {
    {"base", "base CPU model type with no features enabled", nullptr, 0, 0, 0, 0, 0, "", {}},
    {"host",
     "processor with all supported host features",
     nullptr,
     15,
     107,
     1,
     0xd,
     0x8000000a,
     "",
     {},
     true,
     true},
    {"kvm64", "Common KVM processor", kIntel, 15, 6, 1, 0xd, 0x80000008, "Common KVM processor",
     words(kBasicEdx | kVme | kMtrrEtc, kSse3 | kCx16, (kBasicEdx & kAmdShared) | kLongMode, 0)},
    {"max", "Enables all features supported by the accelerator in the current host", kAmd, 15, 107, 1, 0xd,
     0x8000000a, kVirtualName, kQemu64, true},
    {"qemu32", kVirtualName, kIntel, 6, 6, 3, 4, 0x80000004, kVirtualName, words(kBasicEdx, kSse3, 0, 0)},
    {"qemu64", kVirtualName, kAmd, 15, 107, 1, 0xd, 0x8000000a, kVirtualName, kQemu64},
};

unsigned width(unsigned count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

}  // namespace

std::vector<const CpuModelInfo*> cpu_models() {
  std::vector<const CpuModelInfo*> list;
  for (const CpuModelInfo& m : kModels) list.push_back(&m);
  return list;
}

const CpuModelInfo* find_cpu_model(std::string_view name) {
  for (const CpuModelInfo& m : kModels)
    if (name == m.name) return &m;
  return nullptr;
}

std::string cpu_models_help() {
  std::string text = "Available CPUs:\n";
  for (const CpuModelInfo& m : kModels) {
    std::string name = m.name;
    name.resize(std::max<size_t>(name.size(), 20), ' ');
    str_append(text, "x86 ", name, "  ", m.description, "\n");
  }
  text += "\nRecognized CPUID flags:\n";
  std::vector<std::string> names;
  for (size_t w = 0; w < kFeatureWords; ++w)
    for (const char* name : feature_word(static_cast<FeatureWord>(w)).names)
      if (name != nullptr) names.emplace_back(name);
  std::sort(names.begin(), names.end());
  std::string line;
  for (const std::string& name : names) {
    if (line.size() + name.size() > 75) {
      str_append(text, " ", line, "\n");
      line.clear();
    }
    str_append(line, " ", name);
  }
  str_append(text, " ", line, "\n");
  return text;
}

Result<CpuOption> parse_cpu_option(std::string_view text) {
  CpuOption option;
  size_t comma = std::min(text.find(','), text.size());
  std::string_view name = text.substr(0, comma);
  option.model = find_cpu_model(name);
  if (option.model == nullptr) return fail(ENOENT, "unable to find CPU model '", name, "'");
  std::vector<std::pair<std::string, std::string>> plus_minus;  // these win over the others, minus over plus
  std::vector<std::pair<std::string, std::string>> minus;
  while (comma < text.size()) {
    text.remove_prefix(comma + 1);
    comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    if (item.starts_with('+')) {
      plus_minus.emplace_back(canonical_feature_name(item.substr(1)), "on");
    } else if (item.starts_with('-')) {
      minus.emplace_back(canonical_feature_name(item.substr(1)), "off");
    } else {
      size_t equals = item.find('=');
      std::string value(equals == std::string_view::npos ? "on" : item.substr(equals + 1));
      option.properties.emplace_back(canonical_feature_name(item.substr(0, equals)), std::move(value));
    }
  }
  plus_minus.insert(plus_minus.end(), minus.begin(), minus.end());
  option.properties.insert(option.properties.end(), plus_minus.begin(), plus_minus.end());
  return option;
}

CpuPlace cpu_place(const CpuTopology& t, unsigned index) {
  CpuPlace place{};
  place.thread = index % t.threads;
  place.core = index / t.threads % t.cores;
  place.die = index / (t.threads * t.cores) % t.dies;
  place.socket = index / (t.threads * t.cores * t.dies);
  uint32_t id = place.socket;
  id = id << width(t.dies) | place.die;
  id = id << width(t.cores) | place.core;
  place.apic_id = id << width(t.threads) | place.thread;
  return place;
}

}  // namespace rhea
