// The names of the feature bits, as one table. For cpu_features.cc and the properties made of it.
// Bits: Intel SDM volume 2 (CPUID), volume 3 appendix A and volume 4 (VMX and other MSRs); AMD APM volume 3,
// appendix E; VIA PadLock programming guide; Documentation/virt/kvm/x86/cpuid.rst.
#pragma once

#include "target/i386/cpu_features.h"

namespace rhea {

// clang-format off
inline constexpr FeatureName kFeatureNames[] = {
    // CPUID 0x1, EDX
    {FeatureWord::k1Edx, 0, "fpu"}, {FeatureWord::k1Edx, 1, "vme"}, {FeatureWord::k1Edx, 2, "de"},
    {FeatureWord::k1Edx, 3, "pse"}, {FeatureWord::k1Edx, 4, "tsc"}, {FeatureWord::k1Edx, 5, "msr"},
    {FeatureWord::k1Edx, 6, "pae"}, {FeatureWord::k1Edx, 7, "mce"}, {FeatureWord::k1Edx, 8, "cx8"},
    {FeatureWord::k1Edx, 9, "apic"}, {FeatureWord::k1Edx, 11, "sep"}, {FeatureWord::k1Edx, 12, "mtrr"},
    {FeatureWord::k1Edx, 13, "pge"}, {FeatureWord::k1Edx, 14, "mca"}, {FeatureWord::k1Edx, 15, "cmov"},
    {FeatureWord::k1Edx, 16, "pat"}, {FeatureWord::k1Edx, 17, "pse36"}, {FeatureWord::k1Edx, 18, "pn"},
    {FeatureWord::k1Edx, 19, "clflush"}, {FeatureWord::k1Edx, 21, "ds"}, {FeatureWord::k1Edx, 22, "acpi"},
    {FeatureWord::k1Edx, 23, "mmx"}, {FeatureWord::k1Edx, 24, "fxsr"}, {FeatureWord::k1Edx, 25, "sse"},
    {FeatureWord::k1Edx, 26, "sse2"}, {FeatureWord::k1Edx, 27, "ss"}, {FeatureWord::k1Edx, 28, "ht"},
    {FeatureWord::k1Edx, 29, "tm"}, {FeatureWord::k1Edx, 30, "ia64"}, {FeatureWord::k1Edx, 31, "pbe"},
    // CPUID 0x1, ECX
    {FeatureWord::k1Ecx, 0, "pni"}, {FeatureWord::k1Ecx, 1, "pclmulqdq"}, {FeatureWord::k1Ecx, 2, "dtes64"},
    {FeatureWord::k1Ecx, 3, "monitor"}, {FeatureWord::k1Ecx, 4, "ds-cpl"}, {FeatureWord::k1Ecx, 5, "vmx"},
    {FeatureWord::k1Ecx, 6, "smx"}, {FeatureWord::k1Ecx, 7, "est"}, {FeatureWord::k1Ecx, 8, "tm2"},
    {FeatureWord::k1Ecx, 9, "ssse3"}, {FeatureWord::k1Ecx, 10, "cid"}, {FeatureWord::k1Ecx, 12, "fma"},
    {FeatureWord::k1Ecx, 13, "cx16"}, {FeatureWord::k1Ecx, 14, "xtpr"}, {FeatureWord::k1Ecx, 15, "pdcm"},
    {FeatureWord::k1Ecx, 17, "pcid"}, {FeatureWord::k1Ecx, 18, "dca"}, {FeatureWord::k1Ecx, 19, "sse4.1"},
    {FeatureWord::k1Ecx, 20, "sse4.2"}, {FeatureWord::k1Ecx, 21, "x2apic"},
    {FeatureWord::k1Ecx, 22, "movbe"}, {FeatureWord::k1Ecx, 23, "popcnt"},
    {FeatureWord::k1Ecx, 24, "tsc-deadline"}, {FeatureWord::k1Ecx, 25, "aes"},
    {FeatureWord::k1Ecx, 26, "xsave"}, {FeatureWord::k1Ecx, 28, "avx"}, {FeatureWord::k1Ecx, 29, "f16c"},
    {FeatureWord::k1Ecx, 30, "rdrand"}, {FeatureWord::k1Ecx, 31, "hypervisor"},
    // CPUID 0x7, subleaf 0, EBX
    {FeatureWord::k7Ebx, 0, "fsgsbase"}, {FeatureWord::k7Ebx, 1, "tsc-adjust"},
    {FeatureWord::k7Ebx, 2, "sgx"}, {FeatureWord::k7Ebx, 3, "bmi1"}, {FeatureWord::k7Ebx, 4, "hle"},
    {FeatureWord::k7Ebx, 5, "avx2"}, {FeatureWord::k7Ebx, 7, "smep"}, {FeatureWord::k7Ebx, 8, "bmi2"},
    {FeatureWord::k7Ebx, 9, "erms"}, {FeatureWord::k7Ebx, 10, "invpcid"}, {FeatureWord::k7Ebx, 11, "rtm"},
    {FeatureWord::k7Ebx, 14, "mpx"}, {FeatureWord::k7Ebx, 16, "avx512f"},
    {FeatureWord::k7Ebx, 17, "avx512dq"}, {FeatureWord::k7Ebx, 18, "rdseed"},
    {FeatureWord::k7Ebx, 19, "adx"}, {FeatureWord::k7Ebx, 20, "smap"},
    {FeatureWord::k7Ebx, 21, "avx512ifma"}, {FeatureWord::k7Ebx, 22, "pcommit"},
    {FeatureWord::k7Ebx, 23, "clflushopt"}, {FeatureWord::k7Ebx, 24, "clwb"},
    {FeatureWord::k7Ebx, 25, "intel-pt"}, {FeatureWord::k7Ebx, 26, "avx512pf"},
    {FeatureWord::k7Ebx, 27, "avx512er"}, {FeatureWord::k7Ebx, 28, "avx512cd"},
    {FeatureWord::k7Ebx, 29, "sha-ni"}, {FeatureWord::k7Ebx, 30, "avx512bw"},
    {FeatureWord::k7Ebx, 31, "avx512vl"},
    // CPUID 0x7, subleaf 0, ECX
    {FeatureWord::k7Ecx, 1, "avx512vbmi"}, {FeatureWord::k7Ecx, 2, "umip"}, {FeatureWord::k7Ecx, 3, "pku"},
    {FeatureWord::k7Ecx, 5, "waitpkg"}, {FeatureWord::k7Ecx, 6, "avx512vbmi2"},
    {FeatureWord::k7Ecx, 8, "gfni"}, {FeatureWord::k7Ecx, 9, "vaes"},
    {FeatureWord::k7Ecx, 10, "vpclmulqdq"}, {FeatureWord::k7Ecx, 11, "avx512vnni"},
    {FeatureWord::k7Ecx, 12, "avx512bitalg"}, {FeatureWord::k7Ecx, 14, "avx512-vpopcntdq"},
    {FeatureWord::k7Ecx, 16, "la57"}, {FeatureWord::k7Ecx, 22, "rdpid"},
    {FeatureWord::k7Ecx, 24, "bus-lock-detect"}, {FeatureWord::k7Ecx, 25, "cldemote"},
    {FeatureWord::k7Ecx, 27, "movdiri"}, {FeatureWord::k7Ecx, 28, "movdir64b"},
    {FeatureWord::k7Ecx, 30, "sgxlc"}, {FeatureWord::k7Ecx, 31, "pks"},
    // CPUID 0x7, subleaf 0, EDX
    {FeatureWord::k7Edx, 2, "avx512-4vnniw"}, {FeatureWord::k7Edx, 3, "avx512-4fmaps"},
    {FeatureWord::k7Edx, 4, "fsrm"}, {FeatureWord::k7Edx, 8, "avx512-vp2intersect"},
    {FeatureWord::k7Edx, 10, "md-clear"}, {FeatureWord::k7Edx, 14, "serialize"},
    {FeatureWord::k7Edx, 16, "tsx-ldtrk"}, {FeatureWord::k7Edx, 19, "arch-lbr"},
    {FeatureWord::k7Edx, 22, "amx-bf16"}, {FeatureWord::k7Edx, 23, "avx512-fp16"},
    {FeatureWord::k7Edx, 24, "amx-tile"}, {FeatureWord::k7Edx, 25, "amx-int8"},
    {FeatureWord::k7Edx, 26, "spec-ctrl"}, {FeatureWord::k7Edx, 27, "stibp"},
    {FeatureWord::k7Edx, 29, "arch-capabilities"}, {FeatureWord::k7Edx, 30, "core-capability"},
    {FeatureWord::k7Edx, 31, "ssbd"},
    // CPUID 0x7, subleaf 1, EAX
    {FeatureWord::k7_1Eax, 4, "avx-vnni"}, {FeatureWord::k7_1Eax, 5, "avx512-bf16"},
    // CPUID 0x80000001, EDX
    {FeatureWord::k80000001Edx, 11, "syscall"}, {FeatureWord::k80000001Edx, 20, "nx"},
    {FeatureWord::k80000001Edx, 22, "mmxext"}, {FeatureWord::k80000001Edx, 25, "fxsr-opt"},
    {FeatureWord::k80000001Edx, 26, "pdpe1gb"}, {FeatureWord::k80000001Edx, 27, "rdtscp"},
    {FeatureWord::k80000001Edx, 29, "lm"}, {FeatureWord::k80000001Edx, 30, "3dnowext"},
    {FeatureWord::k80000001Edx, 31, "3dnow"},
    // CPUID 0x80000001, ECX
    {FeatureWord::k80000001Ecx, 0, "lahf-lm"}, {FeatureWord::k80000001Ecx, 1, "cmp-legacy"},
    {FeatureWord::k80000001Ecx, 2, "svm"}, {FeatureWord::k80000001Ecx, 3, "extapic"},
    {FeatureWord::k80000001Ecx, 4, "cr8legacy"}, {FeatureWord::k80000001Ecx, 5, "abm"},
    {FeatureWord::k80000001Ecx, 6, "sse4a"}, {FeatureWord::k80000001Ecx, 7, "misalignsse"},
    {FeatureWord::k80000001Ecx, 8, "3dnowprefetch"}, {FeatureWord::k80000001Ecx, 9, "osvw"},
    {FeatureWord::k80000001Ecx, 10, "ibs"}, {FeatureWord::k80000001Ecx, 11, "xop"},
    {FeatureWord::k80000001Ecx, 12, "skinit"}, {FeatureWord::k80000001Ecx, 13, "wdt"},
    {FeatureWord::k80000001Ecx, 15, "lwp"}, {FeatureWord::k80000001Ecx, 16, "fma4"},
    {FeatureWord::k80000001Ecx, 17, "tce"}, {FeatureWord::k80000001Ecx, 19, "nodeid-msr"},
    {FeatureWord::k80000001Ecx, 21, "tbm"}, {FeatureWord::k80000001Ecx, 22, "topoext"},
    {FeatureWord::k80000001Ecx, 23, "perfctr-core"}, {FeatureWord::k80000001Ecx, 24, "perfctr-nb"},
    // CPUID 0x80000007, EDX
    {FeatureWord::k80000007Edx, 8, "invtsc"},
    // CPUID 0x80000008, EBX
    {FeatureWord::k80000008Ebx, 0, "clzero"}, {FeatureWord::k80000008Ebx, 2, "xsaveerptr"},
    {FeatureWord::k80000008Ebx, 9, "wbnoinvd"}, {FeatureWord::k80000008Ebx, 12, "ibpb"},
    {FeatureWord::k80000008Ebx, 14, "ibrs"}, {FeatureWord::k80000008Ebx, 15, "amd-stibp"},
    {FeatureWord::k80000008Ebx, 24, "amd-ssbd"}, {FeatureWord::k80000008Ebx, 25, "virt-ssbd"},
    {FeatureWord::k80000008Ebx, 26, "amd-no-ssb"},
    // CPUID 0xc0000001, EDX
    {FeatureWord::kC0000001Edx, 2, "xstore"}, {FeatureWord::kC0000001Edx, 3, "xstore-en"},
    {FeatureWord::kC0000001Edx, 6, "xcrypt"}, {FeatureWord::kC0000001Edx, 7, "xcrypt-en"},
    {FeatureWord::kC0000001Edx, 8, "ace2"}, {FeatureWord::kC0000001Edx, 9, "ace2-en"},
    {FeatureWord::kC0000001Edx, 10, "phe"}, {FeatureWord::kC0000001Edx, 11, "phe-en"},
    {FeatureWord::kC0000001Edx, 12, "pmm"}, {FeatureWord::kC0000001Edx, 13, "pmm-en"},
    // CPUID 0x40000001, EAX
    {FeatureWord::kKvm, 0, "kvmclock"}, {FeatureWord::kKvm, 1, "kvm-nopiodelay"},
    {FeatureWord::kKvm, 2, "kvm-mmu"}, {FeatureWord::kKvm, 3, "kvmclock"}, {FeatureWord::kKvm, 4, "kvm-asyncpf"},
    {FeatureWord::kKvm, 5, "kvm-steal-time"}, {FeatureWord::kKvm, 6, "kvm-pv-eoi"},
    {FeatureWord::kKvm, 7, "kvm-pv-unhalt"}, {FeatureWord::kKvm, 9, "kvm-pv-tlb-flush"},
    {FeatureWord::kKvm, 11, "kvm-pv-ipi"},
    {FeatureWord::kKvm, 12, "kvm-poll-control"}, {FeatureWord::kKvm, 13, "kvm-pv-sched-yield"},
    {FeatureWord::kKvm, 14, "kvm-asyncpf-int"}, {FeatureWord::kKvm, 15, "kvm-msi-ext-dest-id"},
    {FeatureWord::kKvm, 24, "kvmclock-stable-bit"},
    // CPUID 0x40000001, EDX
    {FeatureWord::kKvmHints, 0, "kvm-hint-dedicated"},
    // CPUID 0x8000000a, EDX
    {FeatureWord::kSvm, 0, "npt"}, {FeatureWord::kSvm, 1, "lbrv"}, {FeatureWord::kSvm, 2, "svm-lock"},
    {FeatureWord::kSvm, 3, "nrip-save"}, {FeatureWord::kSvm, 4, "tsc-scale"},
    {FeatureWord::kSvm, 5, "vmcb-clean"}, {FeatureWord::kSvm, 6, "flushbyasid"},
    {FeatureWord::kSvm, 7, "decodeassists"}, {FeatureWord::kSvm, 10, "pause-filter"},
    {FeatureWord::kSvm, 12, "pfthreshold"}, {FeatureWord::kSvm, 13, "avic"},
    {FeatureWord::kSvm, 15, "v-vmsave-vmload"}, {FeatureWord::kSvm, 16, "vgif"},
    {FeatureWord::kSvm, 28, "svme-addr-chk"},
    // CPUID 0xd, subleaf 1, EAX
    {FeatureWord::kXsave, 0, "xsaveopt"}, {FeatureWord::kXsave, 1, "xsavec"},
    {FeatureWord::kXsave, 2, "xgetbv1"}, {FeatureWord::kXsave, 3, "xsaves"},
    {FeatureWord::kXsave, 4, "xfd"},
    // CPUID 0x6, EAX
    {FeatureWord::k6Eax, 2, "arat"},
    // CPUID 0x14, subleaf 0, ECX
    {FeatureWord::k14Ecx, 31, "intel-pt-lip"},
    // CPUID 0x12, subleaf 0, EAX
    {FeatureWord::kSgxEax, 0, "sgx1"}, {FeatureWord::kSgxEax, 1, "sgx2"},
    // CPUID 0x12, subleaf 0, EBX
    {FeatureWord::kSgxEbx, 0, "sgx-exinfo"},
    // CPUID 0x12, subleaf 1, EAX
    {FeatureWord::kSgx1Eax, 1, "sgx-debug"}, {FeatureWord::kSgx1Eax, 2, "sgx-mode64"},
    {FeatureWord::kSgx1Eax, 4, "sgx-provisionkey"}, {FeatureWord::kSgx1Eax, 5, "sgx-tokenkey"},
    {FeatureWord::kSgx1Eax, 7, "sgx-kss"},
    // MSR 0x10a
    {FeatureWord::kArchCapabilities, 0, "rdctl-no"}, {FeatureWord::kArchCapabilities, 1, "ibrs-all"},
    {FeatureWord::kArchCapabilities, 2, "rsba"}, {FeatureWord::kArchCapabilities, 3, "skip-l1dfl-vmentry"},
    {FeatureWord::kArchCapabilities, 4, "ssb-no"}, {FeatureWord::kArchCapabilities, 5, "mds-no"},
    {FeatureWord::kArchCapabilities, 6, "pschange-mc-no"}, {FeatureWord::kArchCapabilities, 7, "tsx-ctrl"},
    {FeatureWord::kArchCapabilities, 8, "taa-no"},
    // MSR 0xcf
    {FeatureWord::kCoreCapability, 5, "split-lock-detect"},
    // MSR 0x345
    {FeatureWord::kPerfCapabilities, 13, "full-width-write"},
    // MSR 0x48d
    {FeatureWord::kVmxPinbased, 0, "vmx-intr-exit"}, {FeatureWord::kVmxPinbased, 3, "vmx-nmi-exit"},
    {FeatureWord::kVmxPinbased, 5, "vmx-vnmi"}, {FeatureWord::kVmxPinbased, 6, "vmx-preemption-timer"},
    {FeatureWord::kVmxPinbased, 7, "vmx-posted-intr"},
    // MSR 0x48e
    {FeatureWord::kVmxProcbased, 2, "vmx-vintr-pending"}, {FeatureWord::kVmxProcbased, 3, "vmx-tsc-offset"},
    {FeatureWord::kVmxProcbased, 7, "vmx-hlt-exit"}, {FeatureWord::kVmxProcbased, 9, "vmx-invlpg-exit"},
    {FeatureWord::kVmxProcbased, 10, "vmx-mwait-exit"}, {FeatureWord::kVmxProcbased, 11, "vmx-rdpmc-exit"},
    {FeatureWord::kVmxProcbased, 12, "vmx-rdtsc-exit"},
    {FeatureWord::kVmxProcbased, 15, "vmx-cr3-load-noexit"},
    {FeatureWord::kVmxProcbased, 16, "vmx-cr3-store-noexit"},
    {FeatureWord::kVmxProcbased, 19, "vmx-cr8-load-exit"},
    {FeatureWord::kVmxProcbased, 20, "vmx-cr8-store-exit"},
    {FeatureWord::kVmxProcbased, 21, "vmx-flexpriority"},
    {FeatureWord::kVmxProcbased, 22, "vmx-vnmi-pending"},
    {FeatureWord::kVmxProcbased, 23, "vmx-movdr-exit"}, {FeatureWord::kVmxProcbased, 24, "vmx-io-exit"},
    {FeatureWord::kVmxProcbased, 25, "vmx-io-bitmap"}, {FeatureWord::kVmxProcbased, 27, "vmx-mtf"},
    {FeatureWord::kVmxProcbased, 28, "vmx-msr-bitmap"},
    {FeatureWord::kVmxProcbased, 29, "vmx-monitor-exit"},
    {FeatureWord::kVmxProcbased, 30, "vmx-pause-exit"},
    {FeatureWord::kVmxProcbased, 31, "vmx-secondary-ctls"},
    // MSR 0x48b
    {FeatureWord::kVmxSecondary, 0, "vmx-apicv-xapic"}, {FeatureWord::kVmxSecondary, 1, "vmx-ept"},
    {FeatureWord::kVmxSecondary, 2, "vmx-desc-exit"}, {FeatureWord::kVmxSecondary, 3, "vmx-rdtscp-exit"},
    {FeatureWord::kVmxSecondary, 4, "vmx-apicv-x2apic"}, {FeatureWord::kVmxSecondary, 5, "vmx-vpid"},
    {FeatureWord::kVmxSecondary, 6, "vmx-wbinvd-exit"},
    {FeatureWord::kVmxSecondary, 7, "vmx-unrestricted-guest"},
    {FeatureWord::kVmxSecondary, 8, "vmx-apicv-register"}, {FeatureWord::kVmxSecondary, 9, "vmx-apicv-vid"},
    {FeatureWord::kVmxSecondary, 10, "vmx-ple"}, {FeatureWord::kVmxSecondary, 11, "vmx-rdrand-exit"},
    {FeatureWord::kVmxSecondary, 12, "vmx-invpcid-exit"}, {FeatureWord::kVmxSecondary, 13, "vmx-vmfunc"},
    {FeatureWord::kVmxSecondary, 14, "vmx-shadow-vmcs"}, {FeatureWord::kVmxSecondary, 15, "vmx-encls-exit"},
    {FeatureWord::kVmxSecondary, 16, "vmx-rdseed-exit"}, {FeatureWord::kVmxSecondary, 17, "vmx-pml"},
    {FeatureWord::kVmxSecondary, 20, "vmx-xsaves"}, {FeatureWord::kVmxSecondary, 25, "vmx-tsc-scaling"},
    // MSR 0x48f
    {FeatureWord::kVmxExit, 2, "vmx-exit-nosave-debugctl"},
    {FeatureWord::kVmxExit, 12, "vmx-exit-load-perf-global-ctrl"},
    {FeatureWord::kVmxExit, 15, "vmx-exit-ack-intr"}, {FeatureWord::kVmxExit, 18, "vmx-exit-save-pat"},
    {FeatureWord::kVmxExit, 19, "vmx-exit-load-pat"}, {FeatureWord::kVmxExit, 20, "vmx-exit-save-efer"},
    {FeatureWord::kVmxExit, 21, "vmx-exit-load-efer"},
    {FeatureWord::kVmxExit, 22, "vmx-exit-save-preemption-timer"},
    {FeatureWord::kVmxExit, 23, "vmx-exit-clear-bndcfgs"},
    {FeatureWord::kVmxExit, 25, "vmx-exit-clear-rtit-ctl"},
    {FeatureWord::kVmxExit, 29, "vmx-exit-load-pkrs"},
    // MSR 0x490
    {FeatureWord::kVmxEntry, 2, "vmx-entry-noload-debugctl"},
    {FeatureWord::kVmxEntry, 9, "vmx-entry-ia32e-mode"},
    {FeatureWord::kVmxEntry, 13, "vmx-entry-load-perf-global-ctrl"},
    {FeatureWord::kVmxEntry, 14, "vmx-entry-load-pat"}, {FeatureWord::kVmxEntry, 15, "vmx-entry-load-efer"},
    {FeatureWord::kVmxEntry, 16, "vmx-entry-load-bndcfgs"},
    {FeatureWord::kVmxEntry, 18, "vmx-entry-load-rtit-ctl"},
    {FeatureWord::kVmxEntry, 22, "vmx-entry-load-pkrs"},
    // MSR 0x485
    {FeatureWord::kVmxMisc, 5, "vmx-store-lma"}, {FeatureWord::kVmxMisc, 6, "vmx-activity-hlt"},
    {FeatureWord::kVmxMisc, 7, "vmx-activity-shutdown"},
    {FeatureWord::kVmxMisc, 8, "vmx-activity-wait-sipi"},
    {FeatureWord::kVmxMisc, 29, "vmx-vmwrite-vmexit-fields"},
    {FeatureWord::kVmxMisc, 30, "vmx-zero-len-inject"},
    // MSR 0x48c
    {FeatureWord::kVmxEptVpid, 0, "vmx-ept-execonly"}, {FeatureWord::kVmxEptVpid, 6, "vmx-page-walk-4"},
    {FeatureWord::kVmxEptVpid, 7, "vmx-page-walk-5"}, {FeatureWord::kVmxEptVpid, 16, "vmx-ept-2mb"},
    {FeatureWord::kVmxEptVpid, 17, "vmx-ept-1gb"}, {FeatureWord::kVmxEptVpid, 20, "vmx-invept"},
    {FeatureWord::kVmxEptVpid, 21, "vmx-eptad"},
    {FeatureWord::kVmxEptVpid, 22, "vmx-ept-advanced-exitinfo"},
    {FeatureWord::kVmxEptVpid, 25, "vmx-invept-single-context"}, {FeatureWord::kVmxEptVpid, 26, "vmx-invept-all-context"}, {FeatureWord::kVmxEptVpid, 32, "vmx-invvpid"},
    {FeatureWord::kVmxEptVpid, 40, "vmx-invvpid-single-addr"},
    {FeatureWord::kVmxEptVpid, 41, "vmx-invept-single-context"},
    {FeatureWord::kVmxEptVpid, 42, "vmx-invvpid-all-context"},
    {FeatureWord::kVmxEptVpid, 43, "vmx-invept-single-context-noglobals"},
    // MSR 0x480
    {FeatureWord::kVmxBasic, 54, "vmx-ins-outs"}, {FeatureWord::kVmxBasic, 55, "vmx-true-ctls"},
    // MSR 0x491
    {FeatureWord::kVmxFunc, 0, "vmx-eptp-switching"},
};

/// Names from before, and names that a second bit shares.
inline constexpr FeatureAlias kFeatureAliases[] = {
    {"cmp_legacy", "cmp-legacy"}, {"ds_cpl", "ds-cpl"}, {"ffxsr", "fxsr-opt"}, {"fxsr_opt", "fxsr-opt"},
    {"i64", "lm"}, {"kvm_asyncpf", "kvm-asyncpf"},
    {"kvm_asyncpf_int", "kvm-asyncpf-int"}, {"kvm_mmu", "kvm-mmu"}, {"kvm_nopiodelay", "kvm-nopiodelay"},
    {"kvm_poll_control", "kvm-poll-control"}, {"kvm_pv_eoi", "kvm-pv-eoi"},
    {"kvm_pv_unhalt", "kvm-pv-unhalt"}, {"kvm_steal_time", "kvm-steal-time"}, {"lahf_lm", "lahf-lm"},
    {"nodeid_msr", "nodeid-msr"}, {"nrip_save", "nrip-save"}, {"pause_filter", "pause-filter"},
    {"pclmuldq", "pclmulqdq"}, {"perfctr_core", "perfctr-core"}, {"perfctr_nb", "perfctr-nb"},
    {"sse3", "pni"}, {"sse4-1", "sse4.1"}, {"sse4-2", "sse4.2"}, {"sse4_1", "sse4.1"}, {"sse4_2", "sse4.2"},
    {"svm_lock", "svm-lock"}, {"tsc_adjust", "tsc-adjust"}, {"tsc_scale", "tsc-scale"},
    {"vmcb_clean", "vmcb-clean"}, {"xd", "nx"},
};
// clang-format on

}  // namespace rhea
