// What a processor's features come to: from model, accelerator and properties to what CPUID and MSRs say.
#include <cpuid.h>

#include <algorithm>

#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint32_t kDefaultPhysBits = 40;
constexpr uint32_t kMaxPhysBits = 52;
constexpr uint64_t kAmdShared = 0x0183f3ff;  // leaf 1 EDX bits that AMD repeats in 0x80000001 EDX

/// "+f" and "-f" of -cpu.
struct Overrides {
  const X86CpuModel* model = nullptr;
  std::vector<std::string> plus, minus;
};
Overrides& overrides() {
  static auto& all = *new Overrides;
  return all;
}

std::string text_of(std::initializer_list<uint32_t> registers) {
  std::string text;
  for (uint32_t r : registers)
    for (int i = 0; i < 4; ++i) text += static_cast<char>(r >> i * 8);
  return text;
}

/// The name the host's processor gives itself.
std::string host_model_id() {
  std::string text;
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(leaf, &a, &b, &c, &d) == 0) return {};
    text += text_of({a, b, c, d});
  }
  return text.substr(0, text.find('\0'));
}

/// The words whose features need their leaf within reach.
constexpr FeatureWord kLevelWords[] = {
    FeatureWord::k1Edx,        FeatureWord::k1Ecx,        FeatureWord::k6Eax,
    FeatureWord::k7Ebx,        FeatureWord::k7Ecx,        FeatureWord::k7_1Eax,
    FeatureWord::k80000001Edx, FeatureWord::k80000001Ecx, FeatureWord::k80000007Edx,
    FeatureWord::k80000008Ebx, FeatureWord::kC0000001Edx, FeatureWord::kSvm,
    FeatureWord::kXsave};

/// Words of VMX that tell a control's allowed settings: high half may be 1, low half must be 1.
bool is_vmx_control(FeatureWord w) {
  return w >= FeatureWord::kVmxPinbased && w <= FeatureWord::kVmxEntry;
}

bool is_vmx(FeatureWord w) {
  return w >= FeatureWord::kVmxPinbased;
}

}  // namespace

void X86Cpu::set_overrides(const X86CpuModel* model, std::vector<std::string> plus,
                           std::vector<std::string> minus) {
  overrides() = {model, std::move(plus), std::move(minus)};
}

X86Cpu::KvmDefaults& X86Cpu::kvm_defaults() {
  static KvmDefaults defaults;
  return defaults;
}

bool X86Cpu::under_kvm() const {
  const Accelerator* accel = accel_ != nullptr ? accel_ : machine_accelerator();
  return accel != nullptr && accel->name() == "kvm";
}

/// What KVM adds and takes away before anybody says anything; and guests choose by the vendor which
/// instructions they use for system calls, so that is always the host's.
void X86Cpu::take_accelerator_defaults() {
  const Accelerator* accel = machine_accelerator();
  const CpuidTable* host = accel != nullptr ? accel->supported_cpuid() : nullptr;
  if (host == nullptr || info_.kind == CpuModelKind::kBase) return;
  take_host_identity(*host);
  if (info_.all_features()) {
    host_phys_bits = true;
    return;
  }
  constexpr uint64_t kKvmclock = 1u << 0 | 1u << 3, kNopiodelay = 1u << 1, kAsyncpf = 1u << 4,
                     kStealTime = 1u << 5, kPvEoi = 1u << 6, kStableBit = 1u << 24;
  constexpr uint64_t kX2apic = 1u << 21, kMonitor = 1u << 3, kAcpi = 1u << 22, kSvmBit = 1u << 2;
  word(FeatureWord::kKvm) |= kKvmclock | kNopiodelay | kAsyncpf | kStealTime | kPvEoi | kStableBit;
  word(FeatureWord::k1Ecx) &= ~kMonitor;
  if (kvm_defaults().x2apic) word(FeatureWord::k1Ecx) |= kX2apic;
  word(FeatureWord::k1Edx) &= ~kAcpi;
  if (kvm_defaults().hides_svm) word(FeatureWord::k80000001Ecx) &= ~kSvmBit;
}

void X86Cpu::take_host_identity(const CpuidTable& host) {
  const CpuidLeaf* zero = find_cpuid(host, 0);
  if (zero != nullptr) vendor = text_of({zero->ebx, zero->edx, zero->ecx});
  const CpuidLeaf* one = find_cpuid(host, 1);
  if (!info_.all_features() || one == nullptr) return;
  family = (one->eax >> 8 & 15) + (one->eax >> 20 & 255);
  model = (one->eax >> 4 & 15) | (one->eax >> 12 & 0xf0);
  stepping = one->eax & 15;
  model_id = host_model_id();
  min_level = zero != nullptr ? zero->eax : 0;
  if (const CpuidLeaf* extended = find_cpuid(host, 0x80000000)) min_xlevel = extended->eax;
  if (const CpuidLeaf* centaur = find_cpuid(host, 0xc0000000)) min_xlevel2 = centaur->eax;
}

Result<> X86Cpu::apply_overrides() {
  if (overrides().model != &info_) return {};
  for (const std::string& name : overrides().plus) TRY(set_property(name, Json(true)));
  for (const std::string& name : overrides().minus) TRY(set_property(name, Json(false)));
  return {};
}

uint64_t X86Cpu::supported(FeatureWord w) const {
  const Accelerator* accel = accel_ != nullptr ? accel_ : machine_accelerator();
  const CpuidTable* host = accel != nullptr ? accel->supported_cpuid() : nullptr;
  if (host == nullptr) return is_msr(w) ? ~uint64_t{0} : 0xffff'ffff;
  if (!is_msr(w)) return features_in(*host, w);
  const uint64_t value = accel->feature_msr(feature_word(w).function);
  if (is_vmx_control(w)) return (value >> 32) & ~(value & 0xffff'ffff);
  return value;
}

void X86Cpu::add_all_features() {
  for (size_t i = 0; i < kFeatureWords; ++i) {
    const auto w = static_cast<FeatureWord>(i);
    const FeatureWordInfo& info = feature_word(w);
    uint64_t wanted = supported(w) & ~touched_[i] & ~info.not_automatic;
    if (w == FeatureWord::kXcr0Low || w == FeatureWord::kXcr0High || w == FeatureWord::kXssLow ||
        w == FeatureWord::kXssHigh)
      continue;  // by the features that need them
    if (migratable && under_kvm()) wanted &= named_bits(w) & ~info.unmigratable;
    features_[i] |= wanted;
  }
}

void X86Cpu::mark_unavailable(FeatureWord w, uint64_t bits, const char* why, bool verbose) {
  const auto i = static_cast<size_t>(w);
  if (!force_features) features_[i] &= ~bits;
  filtered_[i] |= bits;
  for (unsigned bit = 0; verbose && bit < 64; ++bit)
    if (bits >> bit & 1) warn_report(str_cat(why, ": ", feature_text(w, bit)));
}

void X86Cpu::drop_what_lacks_its_base() {
  for (const FeatureDependency& d : feature_dependencies()) {
    if (feature(d.needs)) continue;
    const auto i = static_cast<size_t>(d.word);
    const uint64_t lost = features_[i] & d.bits;
    mark_unavailable(d.word, lost & touched_[i],
                     "This feature depends on other features that were not requested",
                     index_ == 0 && accel_ != nullptr);
    features_[i] &= ~lost;
  }
}

void X86Cpu::choose_xsave_components() {
  uint64_t mask = 0;
  if (feature({FeatureWord::k1Ecx, 26}))
    for (const XsaveComponent& x : kXsaveComponents)
      if (feature(x.feature)) mask |= uint64_t{1} << x.bit;
  word(FeatureWord::kXcr0Low) = mask & 0xffff'ffff;
  word(FeatureWord::kXcr0High) = mask >> 32;
}

void X86Cpu::raise_level(FeatureWord w) {
  if (word(w) == 0) return;
  const FeatureWordInfo& info = feature_word(w);
  uint32_t& least = info.function >= 0xc0000000   ? min_xlevel2
                    : info.function >= 0x80000000 ? min_xlevel
                                                  : min_level;
  least = std::max(least, info.function);
}

void X86Cpu::reach_intel_pt() {
  constexpr uint32_t kLeaf = 0x14;
  if (intel_pt_auto_level)
    min_level = std::max(min_level, kLeaf);
  else if (min_level < kLeaf)
    mark_unavailable(FeatureWord::k7Ebx, 1u << 25,
                     "Intel PT need CPUID leaf 0x14, please set by \"-cpu ...,min-level=0x14\"",
                     index_ == 0 && accel_ != nullptr && check);
}

void X86Cpu::choose_levels() {
  uint32_t func7 = 0;
  if (full_auto_level) {
    for (FeatureWord w : kLevelWords) raise_level(w);
    if (word(FeatureWord::k7_1Eax) != 0) func7 = 1;
    if (feature({FeatureWord::k80000001Ecx, 2})) min_xlevel = std::max(min_xlevel, 0x8000000au);
    if (feature({FeatureWord::k7Ebx, 25})) reach_intel_pt();
    if (topology_.dies > 1) min_level = std::max(min_level, 0x1fu);
    if (feature({FeatureWord::k7Ebx, 2})) min_level = std::max(min_level, 0x12u);
  }
  if (level_func7 == kAuto) level_func7 = func7;
  if (level == kAuto) level = min_level;
  if (xlevel == kAuto) xlevel = min_xlevel;
  if (xlevel2 == kAuto) xlevel2 = min_xlevel2;
}

Result<> X86Cpu::expand() {
  if (expanded_) return {};
  TRY(apply_overrides());
  expanded_ = true;
  if (info_.all_features()) add_all_features();
  drop_what_lacks_its_base();
  if (!pmu && info_.all_features()) word(FeatureWord::k1Ecx) &= ~(uint64_t{1} << 15);
  if (!kvm || !under_kvm()) word(FeatureWord::kKvm) = word(FeatureWord::kKvmHints) = 0;
  choose_xsave_components();
  choose_levels();
  return {};
}

void X86Cpu::filter(bool verbose) {
  for (size_t i = 0; i < kFeatureWords; ++i) {
    const auto w = static_cast<FeatureWord>(i);
    if (const uint64_t missing = features_[i] & ~supported(w))
      mark_unavailable(w, missing, "host doesn't support requested feature", verbose && index_ == 0);
  }
}

std::vector<std::string> X86Cpu::unavailable_features() const {
  std::vector<std::string> names;
  for (const FeatureName& f : feature_names())
    if (filtered_[static_cast<size_t>(f.word)] >> f.bit & 1) names.emplace_back(f.name);
  return names;
}

/// AMD processors show the features of old in both leaves.
void X86Cpu::repeat_amd_bits() {
  if (vendor != "AuthenticAMD") return;
  uint64_t& extended = word(FeatureWord::k80000001Edx);
  extended = (extended & ~kAmdShared) | (word(FeatureWord::k1Edx) & kAmdShared);
}

uint32_t X86Cpu::host_phys_bits_value() const {
  const CpuidTable* host = accel_ != nullptr ? accel_->supported_cpuid() : nullptr;
  const CpuidLeaf* leaf = host != nullptr ? find_cpuid(*host, 0x80000008) : nullptr;
  return leaf != nullptr && (leaf->eax & 0xff) != 0 ? leaf->eax & 0xff : kDefaultPhysBits;
}

Result<> X86Cpu::choose_phys_bits() {
  const bool kvm_here = under_kvm();
  if (host_phys_bits && kvm_here && phys_bits == 0) {
    phys_bits = host_phys_bits_value();
    if (host_phys_bits_limit != 0) phys_bits = std::min<uint32_t>(phys_bits, host_phys_bits_limit);
  }
  const bool long_mode = feature({FeatureWord::k80000001Edx, 29});
  if (long_mode && kvm_here && phys_bits != 0 && phys_bits != host_phys_bits_value() && index_ == 0 &&
      host_phys_bits_limit == 0)
    warn_report(str_cat("Host physical bits (", host_phys_bits_value(),
                        ") does not match phys-bits property (", phys_bits, ")"));
  if (!long_mode) {
    if (phys_bits != 0 && !info_.all_features())
      return fail(EINVAL, "phys-bits is not user-configurable in 32 bit");
    phys_bits = feature({FeatureWord::k1Edx, 17}) ? 36 : 32;
    return {};
  }
  if (phys_bits == 0) phys_bits = kDefaultPhysBits;
  if (phys_bits > kMaxPhysBits || phys_bits < 32)
    return fail(EINVAL, "phys-bits should be between 32 and ", kMaxPhysBits, "  (but is ", phys_bits, ")");
  return {};
}

Result<CpuIdentity> X86Cpu::identity() {
  CpuIdentity id;
  id.vendor = vendor;
  id.model_id = model_id;
  id.family = family;
  id.model = model;
  id.stepping = stepping;
  id.level = level;
  id.level_func7 = level_func7;
  id.xlevel = xlevel;
  id.xlevel2 = xlevel2;
  id.phys_bits = phys_bits;
  id.caches = info_.caches;
  id.legacy_cache = legacy_cache;
  id.l3_cache = l3_cache;
  id.leaf_0xb = cpuid_0xb;
  id.vendor_cpuid_only = vendor_cpuid_only;
  id.kvm_leaves = kvm && under_kvm();
  if (vmware_freq && tsc_frequency != 0 && id.kvm_leaves) {
    id.tsc_khz = static_cast<uint32_t>(tsc_frequency / 1000);
    id.bus_khz = 1'000'000;  // KVM's local APIC counts in ns
  }
  id.features = features_;
  id.topology = topology_;
  id.place = cpu_place(topology_, index_);
  id.supported = accel_->supported_cpuid();
  if (under_kvm() && hyperv.any())
    id.hyperv = TRY(build_hyperv_leaves(hyperv, accel_->supported_hyperv_cpuid()));
  return id;
}

std::vector<X86Msr> X86Cpu::feature_msrs() const {
  std::vector<X86Msr> list;
  if (accel_->supported_cpuid() == nullptr) return list;
  if (ucode_rev != 0) list.push_back({0x8b, ucode_rev});
  const bool vmx = feature({FeatureWord::k1Ecx, 5});
  for (size_t i = kCpuidWords; i < kFeatureWords; ++i) {
    const auto w = static_cast<FeatureWord>(i);
    const uint32_t index = feature_word(w).function;
    const uint64_t host = accel_->feature_msr(index);
    if (w == FeatureWord::kArchCapabilities ? !feature({FeatureWord::k7Edx, 29}) : !is_vmx(w) || !vmx)
      continue;
    uint64_t value = features_[i];
    if (is_vmx_control(w)) value = (host & 0xffff'ffff) | ((features_[i] | (host & 0xffff'ffff)) << 32);
    if (w == FeatureWord::kVmxBasic || w == FeatureWord::kVmxMisc)  // sizes and numbers are the host's
      value |= host & ~named_bits(w);
    if (value != host) list.push_back({index, value});
  }
  return list;
}

}  // namespace rhea
