#include "target/i386/hyperv.h"

#include "util/log.h"
#include "util/str.h"

namespace rhea {

namespace {

constexpr uint32_t kBase = 0x40000000, kInterface = 0x40000001, kVersion = 0x40000002, kFeatures = 0x40000003,
                   kAdvice = 0x40000004, kLimits = 0x40000005, kNested = 0x4000000a,
                   kSyndbgVendor = 0x40000080, kSyndbgInterface = 0x40000081, kSyndbgFeatures = 0x40000082;
constexpr uint32_t kAdviseNoNonarchCoresharing = 1u << 18;
constexpr uint32_t kHypercallAvailable = 1u << 5, kFrequencyMsrs = 1u << 8;

template <class... F>
constexpr uint32_t all_of(F... f) {
  return (0u | ... | (1u << static_cast<unsigned>(f)));
}

using enum HypervFeature;
/// In the order of HypervFeature. TLFS chapter 2.4: leaf 3 EAX says which MSRs there are, EDX what else, leaf
/// 4 EAX what a guest is advised to use, leaf 0xa EAX what holds for nested guests.
constexpr HypervFeatureInfo kInfos[kHypervFeatures] = {
    {"hv-relaxed", "relaxed timing (hv-relaxed)", kAdvice, 'a', 1u << 5, 0},
    {"hv-vapic", "virtual APIC (hv-vapic)", kFeatures, 'a', 1u << 4, 0},
    {"hv-time", "clocksources (hv-time)", kFeatures, 'a', 1u << 1 | 1u << 9, 0},
    {"hv-crash", "crash MSRs (hv-crash)", kFeatures, 'd', 1u << 10, 0},
    {"hv-reset", "reset MSR (hv-reset)", kFeatures, 'a', 1u << 7, 0},
    {"hv-vpindex", "VP_INDEX MSR (hv-vpindex)", kFeatures, 'a', 1u << 6, 0},
    {"hv-runtime", "VP_RUNTIME MSR (hv-runtime)", kFeatures, 'a', 1u << 0, 0},
    {"hv-synic", "synthetic interrupt controller (hv-synic)", kFeatures, 'a', 1u << 2, 0},
    {"hv-stimer", "synthetic timers (hv-stimer)", kFeatures, 'a', 1u << 3, all_of(kSynic, kTime)},
    {"hv-frequencies", "frequency MSRs (hv-frequencies)", kFeatures, 'a', 1u << 11, 0},
    {"hv-reenlightenment", "reenlightenment MSRs (hv-reenlightenment)", kFeatures, 'a', 1u << 13, 0},
    {"hv-tlbflush", "paravirtualized TLB flush (hv-tlbflush)", kAdvice, 'a', 1u << 2 | 1u << 11,
     all_of(kVpindex)},
    {"hv-evmcs", "enlightened VMCS (hv-evmcs)", kAdvice, 'a', 1u << 14, all_of(kVapic)},
    {"hv-ipi", "paravirtualized IPI (hv-ipi)", kAdvice, 'a', 1u << 10 | 1u << 11, all_of(kVpindex)},
    {"hv-stimer-direct", "direct mode synthetic timers (hv-stimer-direct)", kFeatures, 'd', 1u << 19,
     all_of(kStimer)},
    {"hv-avic", "AVIC/APICv support (hv-avic/hv-apicv)", kAdvice, 'a', 1u << 9, 0},
    {"hv-syndbg", "Enable synthetic kernel debugger channel (hv-syndbg)", kFeatures, 'd', 1u << 11,
     all_of(kSynic, kRelaxed)},
    {"hv-xmm-input", "XMM fast hypercall input (hv-xmm-input)", kFeatures, 'd', 1u << 4, 0},
    {"hv-emsr-bitmap", "enlightened MSR-Bitmap (hv-emsr-bitmap)", kNested, 'a', 1u << 19, all_of(kEvmcs)},
    {"hv-tlbflush-ext", "Extended gva ranges for TLB flush hypercalls (hv-tlbflush-ext)", kFeatures, 'd',
     1u << 14, all_of(kTlbflush)},
    {"hv-tlbflush-direct", "direct TLB flush (hv-tlbflush-direct)", kNested, 'a', 1u << 17, all_of(kVapic)},
};

uint32_t& reg_of(CpuidLeaf& leaf, char reg) {
  return reg == 'a' ? leaf.eax : reg == 'b' ? leaf.ebx : reg == 'c' ? leaf.ecx : leaf.edx;
}

bool host_has(const CpuidTable& host, const HypervFeatureInfo& info) {
  const CpuidLeaf* found = find_cpuid(host, info.function);
  if (found == nullptr) return false;
  CpuidLeaf leaf = *found;
  return (reg_of(leaf, info.reg) & info.bits) == info.bits;
}

uint32_t letters(std::string_view text, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4 && at + i < text.size(); ++i)
    v |= uint32_t{static_cast<uint8_t>(text[at + i])} << i * 8;
  return v;
}

Result<> check_needs(const HypervOptions& o, const CpuidTable& host) {
  for (unsigned i = 0; i < kHypervFeatures; ++i) {
    if (!o.has(static_cast<HypervFeature>(i))) continue;
    const HypervFeatureInfo& info = kInfos[i];
    for (unsigned n = 0; n < kHypervFeatures; ++n)
      if (info.needs >> n & ~o.features >> n & 1)
        return fail(ENOTSUP, "Hyper-V ", info.description, " requires Hyper-V ", kInfos[n].description);
    if (!host_has(host, info))
      return fail(ENOTSUP, "Hyper-V ", info.description, " is not supported by kernel");
  }
  return {};
}

class Leaves {
 public:
  CpuidLeaf& at(uint32_t function) {
    for (CpuidLeaf& leaf : table)
      if (leaf.function == function) return leaf;
    table.push_back({.function = function});
    return table.back();
  }
  CpuidTable table;
};

void name_leaf(CpuidLeaf& leaf, std::string_view name) {
  leaf.ebx = letters(name, 0);
  leaf.ecx = letters(name, 4);
  leaf.edx = letters(name, 8);
}

}  // namespace

const HypervFeatureInfo& hyperv_feature(HypervFeature f) {
  return kInfos[static_cast<size_t>(f)];
}

Result<CpuidTable> build_hyperv_leaves(HypervOptions& o, const CpuidTable& host) {
  if (!o.any()) return CpuidTable{};
  if (o.passthrough)
    for (unsigned i = 0; i < kHypervFeatures; ++i)
      if (host_has(host, kInfos[i]) && static_cast<HypervFeature>(i) != kSyndbg) o.features |= 1u << i;
  if (!o.passthrough) TRY(check_needs(o, host));
  Leaves leaves;
  const bool nested = o.has(kEvmcs) || o.has(kEmsrBitmap) || o.has(kTlbflushDirect);
  CpuidLeaf& base = leaves.at(kBase);
  base.eax = o.has(kSyndbg) ? kSyndbgFeatures : nested ? kNested : kLimits;
  name_leaf(base, o.vendor_id.empty() ? "Microsoft Hv" : std::string_view(o.vendor_id));
  leaves.at(kInterface).eax = letters("Hv#1", 0);
  CpuidLeaf& version = leaves.at(kVersion);
  version.eax = o.version_build;
  version.ebx = uint32_t{o.version_major} << 16 | o.version_minor;
  version.ecx = o.version_service_pack;
  version.edx = uint32_t{o.version_service_branch} << 24 | (o.version_service_number & 0xffffff);
  leaves.at(kFeatures).eax = kHypercallAvailable;
  leaves.at(kAdvice);
  CpuidLeaf& limits = leaves.at(kLimits);
  limits.eax = o.max_vps >= 0 ? static_cast<uint32_t>(o.max_vps) : 0x40;
  limits.ebx = 0x40;
  if (nested) leaves.at(kNested);
  for (unsigned i = 0; i < kHypervFeatures; ++i)
    if (o.has(static_cast<HypervFeature>(i)))
      reg_of(leaves.at(kInfos[i].function), kInfos[i].reg) |= kInfos[i].bits;
  if (o.has(kFrequencies)) leaves.at(kFeatures).edx |= kFrequencyMsrs;
  leaves.at(kAdvice).ebx = o.spinlocks;
  const CpuidLeaf* host_advice = find_cpuid(host, kAdvice);
  const bool coresharing = o.no_nonarch_coresharing == OnOffAuto::kOn ||
                           (o.no_nonarch_coresharing == OnOffAuto::kAuto && host_advice != nullptr &&
                            (host_advice->eax & kAdviseNoNonarchCoresharing) != 0);
  if (coresharing) leaves.at(kAdvice).eax |= kAdviseNoNonarchCoresharing;
  if (o.has(kSyndbg)) {
    CpuidLeaf& vendor = leaves.at(kSyndbgVendor);
    vendor.eax = kSyndbgFeatures;
    name_leaf(vendor, "Microsoft VS");
    leaves.at(kSyndbgInterface).eax = letters("VS#1", 0);
    leaves.at(kSyndbgFeatures).eax = 1u << 1;
  }
  return std::move(leaves.table);
}

}  // namespace rhea
