// Bits: Intel SDM volume 2 (CPUID); AMD APM volume 3, appendix E; Documentation/virt/kvm/x86/cpuid.rst.
#include "target/i386/cpu_features.h"

#include <algorithm>

#include "util/str.h"

namespace rhea {

namespace {

constexpr const char* kNone = nullptr;

constexpr FeatureWordInfo kWords[kFeatureWords] = {
    {.function = 1,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEdx,
     .names = {"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", kNone,
               "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", kNone,  "ds",
               "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe"}},
    {.function = 1,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEcx,
     .names = {"pni",          "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx",    "smx",    "est",
               "tm2",          "ssse3",     "cid",    kNone,     "fma",    "cx16",   "xtpr",   "pdcm",
               kNone,          "pcid",      "dca",    "sse4.1",  "sse4.2", "x2apic", "movbe",  "popcnt",
               "tsc-deadline", "aes",       "xsave",  kNone,     "avx",    "f16c",   "rdrand", "hypervisor"}},
    {.function = 7,
     .index = 0,
     .indexed = true,
     .reg = CpuidRegister::kEbx,
     .names = {"fsgsbase",   "tsc-adjust", "sgx",        "bmi1",     "hle",      "avx2",     kNone,
               "smep",       "bmi2",       "erms",       "invpcid",  "rtm",      kNone,      kNone,
               "mpx",        kNone,        "avx512f",    "avx512dq", "rdseed",   "adx",      "smap",
               "avx512ifma", "pcommit",    "clflushopt", "clwb",     "intel-pt", "avx512pf", "avx512er",
               "avx512cd",   "sha-ni",     "avx512bw",   "avx512vl"}},
    {.function = 7,
     .index = 0,
     .indexed = true,
     .reg = CpuidRegister::kEcx,
     .names = {kNone,        "avx512vbmi",  "umip",         "pku",       kNone,
               "waitpkg",    "avx512vbmi2", kNone,          "gfni",      "vaes",
               "vpclmulqdq", "avx512vnni",  "avx512bitalg", kNone,       "avx512-vpopcntdq",
               kNone,        "la57",        kNone,          kNone,       kNone,
               kNone,        kNone,         "rdpid",        kNone,       "bus-lock-detect",
               "cldemote",   kNone,         "movdiri",      "movdir64b", kNone,
               "sgxlc",      "pks"}},
    {.function = 7,
     .index = 0,
     .indexed = true,
     .reg = CpuidRegister::kEdx,
     .names = {kNone,
               kNone,
               "avx512-4vnniw",
               "avx512-4fmaps",
               "fsrm",
               kNone,
               kNone,
               kNone,
               "avx512-vp2intersect",
               kNone,
               "md-clear",
               kNone,
               kNone,
               kNone,
               "serialize",
               kNone,
               "tsx-ldtrk",
               kNone,
               kNone,
               "arch-lbr",
               kNone,
               kNone,
               "amx-bf16",
               "avx512-fp16",
               "amx-tile",
               "amx-int8",
               "spec-ctrl",
               "stibp",
               "flush-l1d",
               "arch-capabilities",
               "core-capability",
               "ssbd"}},
    {.function = 7,
     .index = 1,
     .indexed = true,
     .reg = CpuidRegister::kEax,
     .names = {kNone, kNone, kNone, kNone, "avx-vnni", "avx512-bf16"}},
    {.function = 0x80000001,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEdx,
     .names = {kNone, kNone,      kNone,     kNone,     kNone, kNone, kNone,      kNone,
               kNone, kNone,      kNone,     "syscall", kNone, kNone, kNone,      kNone,
               kNone, kNone,      kNone,     "mp",      "nx",  kNone, "mmxext",   kNone,
               kNone, "fxsr-opt", "pdpe1gb", "rdtscp",  kNone, "lm",  "3dnowext", "3dnow"}},
    {.function = 0x80000001,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEcx,
     .names = {"lahf-lm", "cmp-legacy", "svm",         "extapic",       "cr8legacy",
               "abm",     "sse4a",      "misalignsse", "3dnowprefetch", "osvw",
               "ibs",     "xop",        "skinit",      "wdt",           kNone,
               "lwp",     "fma4",       "tce",         kNone,           "nodeid-msr",
               kNone,     "tbm",        "topoext",     "perfctr-core",  "perfctr-nb"}},
    {.function = 0x80000007,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEdx,
     .names = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, "invtsc"},
     .unmigratable = 1u << 8},
    {.function = 0x80000008,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEbx,
     .names = {"clzero",   kNone,       "xsaveerptr", kNone,       kNone,     kNone,
               kNone,      kNone,       kNone,        "wbnoinvd",  kNone,     kNone,
               "ibpb",     kNone,       "ibrs",       "amd-stibp", kNone,     "stibp-always-on",
               kNone,      kNone,       kNone,        kNone,       kNone,     kNone,
               "amd-ssbd", "virt-ssbd", "amd-no-ssb", kNone,       "amd-psfd"}},
    {.function = 0x40000001,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEax,
     .names = {"kvmclock",
               "kvm-nopiodelay",
               "kvm-mmu",
               kNone,
               "kvm-asyncpf",
               "kvm-steal-time",
               "kvm-pv-eoi",
               "kvm-pv-unhalt",
               kNone,
               "kvm-pv-tlb-flush",
               "kvm-asyncpf-vmexit",
               "kvm-pv-ipi",
               "kvm-poll-control",
               "kvm-pv-sched-yield",
               "kvm-asyncpf-int",
               "kvm-msi-ext-dest-id",
               kNone,
               kNone,
               kNone,
               kNone,
               kNone,
               kNone,
               kNone,
               kNone,
               "kvmclock-stable-bit"}},
    {.function = 0x8000000a,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEdx,
     .names = {"npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid",
               "decodeassists", kNone, kNone, "pause-filter", kNone, "pfthreshold", "avic", kNone,
               "v-vmsave-vmload", "vgif"}},
    {.function = 0xd,
     .index = 1,
     .indexed = true,
     .reg = CpuidRegister::kEax,
     .names = {"xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd"}},
    {.function = 6,
     .index = 0,
     .indexed = false,
     .reg = CpuidRegister::kEax,
     .names = {kNone, kNone, "arat"}},
};

struct OldName {
  std::string_view old, now;
};
constexpr OldName kOldNames[] = {{"sse3", "pni"},       {"sse4-1", "sse4.1"},
                                 {"sse4-2", "sse4.2"},  {"pclmuldq", "pclmulqdq"},
                                 {"ffxsr", "fxsr-opt"}, {"i64", "lm"},
                                 {"xd", "nx"},          {"hv-spinlock-retries", "hv-spinlocks"}};

constexpr std::string_view kRegisterNames[] = {"EAX", "EBX", "ECX", "EDX"};

}  // namespace

const FeatureWordInfo& feature_word(FeatureWord word) {
  return kWords[static_cast<size_t>(word)];
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
  std::replace(text.begin(), text.end(), '_', '-');
  for (const OldName& o : kOldNames)
    if (text == o.old) return std::string(o.now);
  return text;
}

std::string feature_text(FeatureWord word, unsigned bit) {
  const FeatureWordInfo& info = feature_word(word);
  std::string function = hex(info.function, 2);
  std::transform(function.begin(), function.end(), function.begin(),
                 [](char c) { return c >= 'a' ? c - 32 : c; });
  std::string text = str_cat("CPUID.", function, "H:", kRegisterNames[static_cast<size_t>(info.reg)]);
  if (info.names[bit] != nullptr) str_append(text, ".", info.names[bit]);
  str_append(text, " [bit ", bit, "]");
  return text;
}

}  // namespace rhea
