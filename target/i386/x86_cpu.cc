#include "target/i386/x86_cpu.h"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint32_t kDefaultPhysBits = 40;
constexpr uint32_t kMaxPhysBits = 52;

std::vector<X86Cpu*>& realized_cpus() {
  static auto& list = *new std::vector<X86Cpu*>;
  return list;
}

Result<> put_state(void* object, int) {
  auto& cpu = *static_cast<X86Cpu*>(object);
  if (cpu.vcpu() == nullptr) return {};
  return cpu.vcpu()->set_state(cpu.saved);
}

void fetch_state(void* object) {
  auto& cpu = *static_cast<X86Cpu*>(object);
  if (cpu.vcpu() == nullptr) return;
  if (Result<X86State> state = cpu.vcpu()->get_state())
    cpu.saved = std::move(*state);
  else
    error_report(state.error());
}

constexpr VMStateField kFields[] = {struct_field<&X86Cpu::saved>("state", kX86StateVmState)};
constexpr VMState kX86CpuVmState{
    .name = "x86_cpu", .version = 1, .fields = kFields, .pre_save = fetch_state, .post_load = put_state};

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

}  // namespace

X86Cpu::X86Cpu(const CpuModelInfo& model_info) : info_(model_info), features_(model_info.features) {
  if (info_.vendor != nullptr) vendor = info_.vendor;
  model_id = info_.model_id;
  family = info_.family;
  model = info_.model;
  stepping = info_.stepping;
}

X86Cpu::~X86Cpu() {
  std::erase(realized_cpus(), this);
}

const std::vector<X86Cpu*>& X86Cpu::all() {
  return realized_cpus();
}

const VMState* X86Cpu::vmstate() const {
  return &kX86CpuVmState;
}

void X86Cpu::describe(std::string& out) const {
  str_append(out, "apic-id ", apic_id, "\n");
}

void X86Cpu::attach(Accelerator& accelerator, unsigned cpu_index, const CpuTopology& smp) {
  accel_ = &accelerator;
  index_ = cpu_index;
  topology_ = smp;
  CpuPlace place = cpu_place(smp, cpu_index);
  apic_id = place.apic_id;
  socket_id = static_cast<int32_t>(place.socket);
  die_id = static_cast<int32_t>(place.die);
  core_id = static_cast<int32_t>(place.core);
  thread_id = static_cast<int32_t>(place.thread);
}

bool X86Cpu::feature(FeatureBit bit) const {
  return features_[static_cast<size_t>(bit.word)] >> bit.bit & 1;
}

void X86Cpu::set_feature(FeatureBit bit, bool on) {
  uint32_t mask = 1u << bit.bit;
  if (bit.word == FeatureWord::kKvm && bit.bit == 0)
    mask |= 1u << 3;  // "kvmclock" is the old and the new one
  touched_[static_cast<size_t>(bit.word)] |= mask;
  word(bit.word) = on ? word(bit.word) | mask : word(bit.word) & ~mask;
}

/// Model host: what the host's own CPUID says. Under other models only the vendor follows the host, since
/// guests choose by it which instructions they use for system calls.
void X86Cpu::take_host_identity() {
  const CpuidTable* host = accel_->supported_cpuid();
  if (host == nullptr) return;
  if (const CpuidLeaf* zero = find_cpuid(*host, 0)) {
    bool default_vendor = vendor.empty() || (info_.vendor != nullptr && vendor == info_.vendor);
    if (default_vendor) vendor = text_of({zero->ebx, zero->edx, zero->ecx});
  }
  const CpuidLeaf* one = find_cpuid(*host, 1);
  if (!info_.host_identity || one == nullptr) return;
  if (family == info_.family && model == info_.model && stepping == info_.stepping) {
    family = (one->eax >> 8 & 15) + (one->eax >> 20 & 255);
    model = (one->eax >> 4 & 15) | (one->eax >> 12 & 0xf0);
    stepping = one->eax & 15;
  }
  if (model_id.empty()) model_id = host_model_id();
}

/// What KVM adds and takes away where the user said nothing.
void X86Cpu::add_defaults() {
  auto change = [this](FeatureWord w, uint32_t on, uint32_t off) {
    uint32_t free = ~touched_[static_cast<size_t>(w)];
    word(w) = (word(w) & ~(off & free)) | (on & free);
  };
  const CpuidTable* host = accel_->supported_cpuid();
  if (host == nullptr) return;
  if (info_.all_features) {
    for (size_t w = 0; w < kFeatureWords; ++w) {
      auto at = static_cast<FeatureWord>(w);
      uint32_t hidden = migratable ? feature_word(at).unmigratable : 0;
      change(at, features_in(*host, at) & ~hidden, ~features_in(*host, at));
    }
    return;
  }
  constexpr uint32_t kX2apic = 1u << 21, kHypervisor = 1u << 31, kMonitor = 1u << 3, kAcpi = 1u << 22,
                     kSvm = 1u << 2;
  constexpr uint32_t kKvmDefaults =
      0x01000073;  // kvmclock (both), nopiodelay, asyncpf, steal-time, pv-eoi, stable
  constexpr uint32_t kOldClockToo = 1u << 3;
  if (info_.features == FeatureBits{}) return;  // model base stays empty
  change(FeatureWord::k1Ecx, kX2apic | kHypervisor, kMonitor);
  change(FeatureWord::k1Edx, 0, kAcpi);
  change(FeatureWord::k80000001Ecx, 0, kSvm);
  change(FeatureWord::kKvm, features_in(*host, FeatureWord::kKvm) & (kKvmDefaults | kOldClockToo), 0);
}

Result<> X86Cpu::filter_features() {
  const CpuidTable* host = accel_->supported_cpuid();
  if (host == nullptr) return {};
  bool missing = false;
  for (size_t w = 0; w < kFeatureWords; ++w) {
    auto at = static_cast<FeatureWord>(w);
    filtered_[w] = features_[w] & ~features_in(*host, at);
    features_[w] &= ~filtered_[w];
    missing |= filtered_[w] != 0;
    for (unsigned bit = 0; bit < 32 && (check || enforce) && index_ == 0; ++bit)
      if (filtered_[w] >> bit & 1)
        warn_report(str_cat("host doesn't support requested feature: ", feature_text(at, bit)));
  }
  if (missing && enforce) return fail(ENOTSUP, "Host doesn't support requested features");
  return {};
}

/// Every feature's leaf has to be within reach.
void X86Cpu::choose_levels() {
  uint32_t basic = info_.level, extended = info_.xlevel;
  for (size_t w = 0; w < kFeatureWords; ++w) {
    uint32_t function = feature_word(static_cast<FeatureWord>(w)).function;
    if (features_[w] == 0) continue;
    if (function < 0x40000000) basic = std::max(basic, function);
    if (function >= 0x80000000) extended = std::max(extended, function);
  }
  constexpr uint32_t kTopoext = 1u << 22;
  if (word(FeatureWord::k80000001Ecx) & kTopoext) extended = std::max(extended, 0x8000001eu);
  if (level == kAuto) level = basic;
  if (xlevel == kAuto) xlevel = extended;
}

uint32_t X86Cpu::host_phys_bits_value() const {
  const CpuidTable* host = accel_->supported_cpuid();
  const CpuidLeaf* leaf = host != nullptr ? find_cpuid(*host, 0x80000008) : nullptr;
  return leaf != nullptr && (leaf->eax & 0xff) != 0 ? leaf->eax & 0xff : kDefaultPhysBits;
}

CpuIdentity X86Cpu::identity() const {
  CpuIdentity id;
  id.vendor = vendor;
  id.model_id = model_id;
  id.family = family;
  id.model = model;
  id.stepping = stepping;
  id.level = level;
  id.xlevel = xlevel;
  id.phys_bits = phys_bits;
  id.kvm_leaves = kvm && accel_->name() == "kvm";
  id.features = features_;
  id.topology = topology_;
  id.place = cpu_place(topology_, index_);
  id.supported = accel_->supported_cpuid();
  return id;
}

Result<> X86Cpu::do_realize() {
  if (accel_ == nullptr)
    return fail(ENOTSUP, "a CPU of type '", type().name, "' cannot be added at run time");
  if (info_.host_identity && accel_->supported_cpuid() == nullptr)
    return fail(ENOTSUP, "CPU model 'host' requires KVM");
  if (phys_bits != 0 && (phys_bits > kMaxPhysBits || phys_bits < 32))
    return fail(EINVAL, "phys-bits should be between 32 and ", kMaxPhysBits, "  (but is ", phys_bits, ")");
  take_host_identity();
  add_defaults();
  TRY(filter_features());
  choose_levels();
  if (host_phys_bits || (info_.all_features && phys_bits == 0)) phys_bits = host_phys_bits_value();
  if (phys_bits == 0) phys_bits = std::min(kDefaultPhysBits, host_phys_bits_value());
  VcpuConfig config{.index = index_, .apic_id = apic_id, .cpuid = build_cpuid(identity())};
  vcpu_ = TRY(accel_->create_vcpu(std::move(config)));
  realized_cpus().push_back(this);
  return {};
}

void X86Cpu::do_unrealize() {
  std::erase(realized_cpus(), this);
  vcpu_ = nullptr;
}

Result<> create_cpus(Accelerator& accel, const SmpTopology& smp, std::string_view option, Object& parent) {
  CpuOption parsed = TRY(parse_cpu_option(option));
  if (smp.cpus > accel.max_vcpus())
    return fail(EINVAL, "Invalid SMP CPUs ", smp.cpus, ". The max CPUs supported by accelerator '",
                accel.name(), "' is ", accel.max_vcpus());
  CpuTopology topology{.sockets = smp.sockets, .dies = smp.dies, .cores = smp.cores, .threads = smp.threads};
  for (unsigned i = 0; i < smp.cpus; ++i) {
    auto cpu = std::make_shared<X86Cpu>(*parsed.model);
    for (const auto& [name, value] : parsed.properties)
      TRY(cpu->set_property(name, Json(value), ValueForm::kKeyval));
    cpu->attach(accel, i, topology);
    parent.add_child("device[*]", cpu);
    if (Result<> made = cpu->realize(); !made) {
      cpu->unparent();
      return Failure(std::move(made).error());
    }
  }
  return {};
}

}  // namespace rhea
