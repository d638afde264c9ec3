// What the named processors are: identity, levels and features, as their makers' documents and the
// hypervisors' common use of the names have them. A model says what it has beyond the one it is derived from,
// and what not.
#include "target/i386/cpu_model_data.h"

namespace rhea {

namespace {

constexpr const char* kIntel = "GenuineIntel";
constexpr const char* kCpuModelDataAmd = "AuthenticAMD";
constexpr const char* kHygon = "HygonGenuine";

// clang-format off
// name, derived from, vendor, family, model, stepping, level, xlevel, xlevel2, name it gives itself, features
constexpr CpuModelData kModels[] = {
    {"486", nullptr, kIntel, 4, 8, 0, 0x1, 0x0, 0x0,
     "",
     "fpu vme pse"},
    {"pentium", nullptr, kIntel, 5, 4, 3, 0x1, 0x0, 0x0,
     "",
     "fpu vme de pse tsc msr mce cx8 apic mmx"},
    {"pentium2", "pentium", kIntel, 6, 5, 2, 0x2, 0x0, 0x0,
     "",
     "pae sep mtrr pge mca cmov pat pse36 fxsr"},
    {"pentium3", "pentium2", kIntel, 6, 7, 3, 0x3, 0x0, 0x0,
     "",
     "sse"},
    {"athlon", "pentium3", kCpuModelDataAmd, 6, 2, 3, 0x2, 0x80000008, 0x0,
     "QEMU Virtual CPU version 2.5+",
     "sse2 mmxext 3dnowext 3dnow"},
    {"coreduo", nullptr, kIntel, 6, 14, 8, 0xa, 0x80000008, 0x0,
     "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
     "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush acpi mmx fxsr sse "
     "sse2 ss pni monitor nx vmx-intr-exit vmx-nmi-exit vmx-vintr-pending vmx-tsc-offset "
     "vmx-hlt-exit vmx-invlpg-exit vmx-mwait-exit vmx-rdpmc-exit vmx-rdtsc-exit vmx-movdr-exit "
     "vmx-io-exit vmx-io-bitmap vmx-msr-bitmap vmx-monitor-exit vmx-pause-exit vmx-exit-ack-intr "
     "vmx-activity-hlt"},
    {"n270", "pentium3", kIntel, 6, 28, 2, 0xa, 0x80000008, 0x0,
     "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
     "clflush acpi sse2 ss pni monitor ssse3 movbe nx lahf-lm -pse36"},
    {"qemu32", "pentium3", kIntel, 6, 6, 3, 0x4, 0x80000004, 0x0,
     "QEMU Virtual CPU version 2.5+",
     "sse2 pni -vme -mtrr -mca -pse36"},
    {"kvm32", "coreduo", kIntel, 15, 6, 1, 0x5, 0x80000008, 0x0,
     "Common 32-bit KVM processor",
     "pse36 -acpi -ss -monitor -nx"},
    {"qemu64", "qemu32", kCpuModelDataAmd, 15, 107, 1, 0xd, 0x8000000a, 0x0,
     "QEMU Virtual CPU version 2.5+",
     "mtrr mca pse36 clflush cx16 syscall nx lm lahf-lm svm"},
    {"kvm64", "kvm32", kIntel, 15, 6, 1, 0xd, 0x80000008, 0x0,
     "Common KVM processor",
     "cx16 syscall nx lm vmx-cr8-load-exit vmx-cr8-store-exit vmx-flexpriority vmx-entry-ia32e-mode "
     "-vmx-msr-bitmap"},
    {"core2duo", "kvm64", kIntel, 6, 15, 11, 0xa, 0x80000008, 0x0,
     "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
     "acpi ss monitor ssse3 lahf-lm vmx-vnmi vmx-vnmi-pending vmx-msr-bitmap vmx-secondary-ctls "
     "vmx-apicv-xapic vmx-ins-outs"},
    {"phenom", "qemu64", kCpuModelDataAmd, 16, 2, 3, 0x5, 0x8000001a, 0x0,
     "AMD Phenom(tm) 9550 Quad-Core Processor",
     "vme monitor popcnt mmxext fxsr-opt pdpe1gb rdtscp 3dnowext 3dnow abm sse4a npt"},
    {"Conroe", "core2duo", kIntel, 6, 15, 3, 0xa, 0x80000008, 0x0,
     "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
     "-acpi -ss -monitor -cx16"},
    {"Penryn", "Conroe", kIntel, 6, 23, 3, 0xa, 0x80000008, 0x0,
     "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
     "cx16 sse4.1 vmx-wbinvd-exit vmx-exit-load-perf-global-ctrl vmx-entry-load-perf-global-ctrl"},
    {"Nehalem", "Penryn", kIntel, 6, 26, 3, 0xb, 0x80000008, 0x0,
     "Intel Core i7 9xx (Nehalem Class Core i7)",
     "sse4.2 popcnt vmx-preemption-timer vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-mtf vmx-ept "
     "vmx-desc-exit vmx-apicv-x2apic vmx-vpid vmx-exit-nosave-debugctl vmx-exit-save-pat "
     "vmx-exit-load-pat vmx-exit-save-efer vmx-exit-load-efer vmx-exit-save-preemption-timer "
     "vmx-entry-noload-debugctl vmx-entry-load-pat vmx-entry-load-efer vmx-ept-execonly "
     "vmx-page-walk-4 vmx-ept-2mb vmx-ept-1gb vmx-invept vmx-invept-all-context vmx-invvpid "
     "vmx-invvpid-single-addr vmx-invept-single-context vmx-invvpid-all-context "
     "vmx-invept-single-context-noglobals vmx-true-ctls"},
    {"Westmere", "Nehalem", kIntel, 6, 44, 1, 0xb, 0x80000008, 0x0,
     "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
     "pclmulqdq aes arat vmx-unrestricted-guest vmx-store-lma"},
    {"SandyBridge", "Westmere", kIntel, 6, 42, 1, 0xd, 0x80000008, 0x0,
     "Intel Xeon E312xx (Sandy Bridge)",
     "x2apic tsc-deadline xsave avx rdtscp xsaveopt vmx-rdtscp-exit"},
    {"IvyBridge", "SandyBridge", kIntel, 6, 58, 9, 0xd, 0x80000008, 0x0,
     "Intel Xeon E3-12xx v2 (Ivy Bridge)",
     "f16c rdrand fsgsbase smep erms vmx-posted-intr vmx-apicv-register vmx-apicv-vid "
     "vmx-rdrand-exit"},
    {"Haswell", "IvyBridge", kIntel, 6, 60, 4, 0xd, 0x80000008, 0x0,
     "Intel Core Processor (Haswell)",
     "fma pcid movbe bmi1 hle avx2 bmi2 invpcid rtm abm vmx-invpcid-exit vmx-vmfunc vmx-shadow-vmcs "
     "vmx-vmwrite-vmexit-fields vmx-eptad vmx-eptp-switching"},
    {"Broadwell", "Haswell", kIntel, 6, 61, 2, 0xd, 0x80000008, 0x0,
     "Intel Core Processor (Broadwell)",
     "rdseed adx smap 3dnowprefetch vmx-rdseed-exit vmx-pml"},
    {"Skylake-Client", "Broadwell", kIntel, 6, 94, 3, 0xd, 0x80000008, 0x0,
     "Intel Core Processor (Skylake)",
     "xsavec xgetbv1 -vmx-posted-intr -vmx-apicv-x2apic -vmx-apicv-register -vmx-apicv-vid"},
    {"Skylake-Server", "Broadwell", kIntel, 6, 85, 4, 0xd, 0x80000008, 0x0,
     "Intel Xeon Processor (Skylake)",
     "avx512f avx512dq clflushopt clwb avx512cd avx512bw avx512vl pku pdpe1gb xsavec xgetbv1 "
     "-vmx-eptp-switching"},
    {"Cascadelake-Server", "Skylake-Server", kIntel, 6, 85, 6, 0xd, 0x80000008, 0x0,
     "Intel Xeon Processor (Cascadelake)",
     "avx512vnni spec-ctrl ssbd"},
    {"Cooperlake", "Cascadelake-Server", kIntel, 6, 85, 10, 0xd, 0x80000008, 0x0,
     "Intel Xeon Processor (Cooperlake)",
     "stibp arch-capabilities avx512-bf16 rdctl-no ibrs-all skip-l1dfl-vmentry mds-no "
     "pschange-mc-no taa-no vmx-eptp-switching"},
    {"Icelake-Server", "Cascadelake-Server", kIntel, 6, 134, 0, 0xd, 0x80000008, 0x0,
     "Intel Xeon Processor (Icelake)",
     "avx512vbmi umip avx512vbmi2 gfni vaes vpclmulqdq avx512bitalg avx512-vpopcntdq la57 wbnoinvd "
     "-vmx-rdseed-exit -vmx-pml"},
    {"KnightsMill", nullptr, kIntel, 6, 133, 0, 0xd, 0x80000008, 0x0,
     "Intel Xeon Phi Processor (Knights Mill)",
     "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
     "sse2 ss pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave "
     "avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 erms avx512f rdseed adx avx512pf avx512er "
     "avx512cd avx512-vpopcntdq avx512-4vnniw avx512-4fmaps syscall nx pdpe1gb rdtscp lm lahf-lm "
     "abm 3dnowprefetch xsaveopt arat"},
    {"Denverton", "Broadwell", kIntel, 6, 95, 1, 0x15, 0x80000008, 0x0,
     "Intel Atom Processor (Denverton)",
     "monitor mpx clflushopt sha-ni spec-ctrl arch-capabilities ssbd pdpe1gb xsavec xgetbv1 "
     "rdctl-no skip-l1dfl-vmentry -fma -pcid -avx -f16c -bmi1 -hle -avx2 -bmi2 -invpcid -rtm -adx "
     "-abm -vmx-invpcid-exit"},
    {"Snowridge", "Denverton", kIntel, 6, 134, 1, 0x1b, 0x80000008, 0x0,
     "Intel Atom Processor (SnowRidge)",
     "clwb umip gfni cldemote movdiri movdir64b core-capability split-lock-detect -rdctl-no "
     "-skip-l1dfl-vmentry"},
    {"Opteron_G1", "qemu64", kCpuModelDataAmd, 15, 6, 1, 0x5, 0x80000008, 0x0,
     "AMD Opteron 240 (Gen 1 Class Opteron)",
     "vme -cx16 -lahf-lm -svm"},
    {"Opteron_G2", "qemu64", kCpuModelDataAmd, 15, 6, 1, 0x5, 0x80000008, 0x0,
     "AMD Opteron 22xx (Gen 2 Class Opteron)",
     "vme"},
    {"Opteron_G3", "Opteron_G2", kCpuModelDataAmd, 16, 2, 3, 0x5, 0x80000008, 0x0,
     "AMD Opteron 23xx (Gen 3 Class Opteron)",
     "monitor popcnt rdtscp abm sse4a misalignsse"},
    {"Opteron_G4", "Opteron_G3", kCpuModelDataAmd, 21, 1, 2, 0xd, 0x8000001a, 0x0,
     "AMD Opteron 62xx class CPU",
     "pclmulqdq ssse3 sse4.1 sse4.2 aes xsave avx pdpe1gb 3dnowprefetch xop fma4 npt nrip-save "
     "-monitor"},
    {"Opteron_G5", "Opteron_G4", kCpuModelDataAmd, 21, 2, 0, 0xd, 0x8000001a, 0x0,
     "AMD Opteron 63xx class CPU",
     "fma f16c tbm"},
    {"EPYC", "Opteron_G5", kCpuModelDataAmd, 23, 1, 2, 0xd, 0x8000001e, 0x0,
     "AMD EPYC Processor",
     "monitor movbe rdrand fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt sha-ni mmxext "
     "fxsr-opt cr8legacy osvw topoext xsaveopt xsavec xgetbv1 arat -xop -fma4 -tbm"},
    {"Dhyana", "EPYC", kHygon, 24, 0, 1, 0xd, 0x8000001e, 0x0,
     "Hygon Dhyana Processor",
     "ibpb -pclmulqdq -aes -sha-ni"},
    {"EPYC-Rome", "EPYC", kCpuModelDataAmd, 23, 49, 0, 0xd, 0x8000001e, 0x0,
     "AMD EPYC-Rome Processor",
     "clwb umip rdpid perfctr-core clzero xsaveerptr wbnoinvd ibpb amd-stibp xsaves"},
    {"EPYC-Milan", "EPYC-Rome", kCpuModelDataAmd, 25, 1, 1, 0xd, 0x8000001e, 0x0,
     "AMD EPYC-Milan Processor",
     "pcid erms invpcid pku fsrm ibrs amd-ssbd svme-addr-chk"},};

// model, version, other name, what the version is about, name it gives itself, stepping, changes
constexpr CpuVersionData kVersions[] = {
    {"Nehalem", 2, "Nehalem-IBRS", nullptr, "Intel Core i7 9xx (Nehalem Core i7, IBRS update)", -1,
     "spec-ctrl"},
    {"Westmere", 2, "Westmere-IBRS", nullptr, "Westmere E56xx/L56xx/X56xx (IBRS update)", -1,
     "spec-ctrl"},
    {"SandyBridge", 2, "SandyBridge-IBRS", nullptr, "Intel Xeon E312xx (Sandy Bridge, IBRS update)", -1,
     "spec-ctrl"},
    {"IvyBridge", 2, "IvyBridge-IBRS", nullptr, "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)", -1,
     "spec-ctrl"},
    {"Haswell", 2, "Haswell-noTSX", nullptr, "Intel Core Processor (Haswell, no TSX)", 1,
     "-hle -rtm"},
    {"Haswell", 3, "Haswell-IBRS", nullptr, "Intel Core Processor (Haswell, IBRS)", 4,
     "hle rtm spec-ctrl"},
    {"Haswell", 4, "Haswell-noTSX-IBRS", nullptr, "Intel Core Processor (Haswell, no TSX, IBRS)", 1,
     "-hle -rtm"},
    {"Broadwell", 2, "Broadwell-noTSX", nullptr, "Intel Core Processor (Broadwell, no TSX)", -1,
     "-hle -rtm"},
    {"Broadwell", 3, "Broadwell-IBRS", nullptr, "Intel Core Processor (Broadwell, IBRS)", -1,
     "hle rtm spec-ctrl"},
    {"Broadwell", 4, "Broadwell-noTSX-IBRS", nullptr, "Intel Core Processor (Broadwell, no TSX, IBRS)", -1,
     "-hle -rtm"},
    {"Skylake-Client", 2, "Skylake-Client-IBRS", nullptr, "Intel Core Processor (Skylake, IBRS)", -1,
     "spec-ctrl"},
    {"Skylake-Client", 3, "Skylake-Client-noTSX-IBRS", nullptr, "Intel Core Processor (Skylake, IBRS, no TSX)", -1,
     "-hle -rtm"},
    {"Skylake-Client", 4, nullptr, "IBRS, XSAVES, no TSX", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Skylake-Server", 2, "Skylake-Server-IBRS", nullptr, "Intel Xeon Processor (Skylake, IBRS)", -1,
     "spec-ctrl -clflushopt"},
    {"Skylake-Server", 3, "Skylake-Server-noTSX-IBRS", nullptr, "Intel Xeon Processor (Skylake, IBRS, no TSX)", -1,
     "-hle -rtm"},
    {"Skylake-Server", 4, nullptr, "IBRS, EPT switching, no TSX", nullptr, -1,
     "vmx-eptp-switching"},
    {"Skylake-Server", 5, nullptr, "IBRS, XSAVES, EPT switching, no TSX", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Cascadelake-Server", 2, nullptr, "ARCH_CAPABILITIES", nullptr, -1,
     "arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no"},
    {"Cascadelake-Server", 3, "Cascadelake-Server-noTSX", "ARCH_CAPABILITIES, no TSX", nullptr, -1,
     "-hle -rtm"},
    {"Cascadelake-Server", 4, nullptr, "ARCH_CAPABILITIES, EPT switching, no TSX", nullptr, -1,
     "vmx-eptp-switching"},
    {"Cascadelake-Server", 5, nullptr, "ARCH_CAPABILITIES, EPT switching, XSAVES, no TSX", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Cooperlake", 2, nullptr, "XSAVES", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Icelake-Server", 2, "Icelake-Server-noTSX", "no TSX", nullptr, -1,
     "-hle -rtm"},
    {"Icelake-Server", 3, nullptr, nullptr, nullptr, -1,
     "arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no pschange-mc-no taa-no"},
    {"Icelake-Server", 4, nullptr, nullptr, nullptr, -1,
     "model=106 avx512ifma sha-ni rdpid fsrm vmx-rdseed-exit vmx-pml vmx-eptp-switching"},
    {"Icelake-Server", 5, nullptr, "XSAVES", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Icelake-Server", 6, nullptr, "5-level EPT", nullptr, -1,
     "vmx-page-walk-5"},
    {"Denverton", 2, nullptr, "no MPX, no MONITOR", nullptr, -1,
     "-monitor -mpx"},
    {"Denverton", 3, nullptr, "XSAVES, no MPX, no MONITOR", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Snowridge", 2, nullptr, nullptr, "Intel Atom Processor (Snowridge, no MPX)", -1,
     "-mpx"},
    {"Snowridge", 3, nullptr, "XSAVES, no MPX", nullptr, -1,
     "xsaves vmx-xsaves"},
    {"Snowridge", 4, nullptr, "no split lock detect, no core-capability", nullptr, -1,
     "-core-capability -split-lock-detect"},
    {"EPYC", 2, "EPYC-IBPB", nullptr, "AMD EPYC Processor (with IBPB)", -1,
     "ibpb"},
    {"EPYC", 3, nullptr, nullptr, "AMD EPYC Processor", -1,
     "perfctr-core clzero xsaveerptr xsaves"},
    {"Dhyana", 2, nullptr, "XSAVES", nullptr, -1,
     "xsaves"},
    {"EPYC-Rome", 2, nullptr, nullptr, nullptr, -1,
     "ibrs amd-ssbd"},};
// clang-format on

}  // namespace

std::span<const CpuModelData> cpu_model_data() {
  return kModels;
}

std::span<const CpuVersionData> cpu_version_data() {
  return kVersions;
}

}  // namespace rhea
