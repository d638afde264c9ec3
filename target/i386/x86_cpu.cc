#include "target/i386/x86_cpu.h"

#include <algorithm>

#include "qom/globals.h"
#include "target/i386/cpu_slots.h"
#include "util/log.h"

namespace rhea {

namespace {

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

X86Cpu::PlugHandler& plug_handler() {
  static auto& handler = *new X86Cpu::PlugHandler;
  return handler;
}

}  // namespace

X86Cpu::X86Cpu(const X86CpuModel& model_info) : info_(model_info), features_(model_info.features()) {
  vendor = info_.vendor;
  model_id = info_.model_id;
  family = info_.family;
  model = info_.model;
  stepping = info_.stepping;
  min_level = info_.level;
  min_xlevel = info_.xlevel;
  min_xlevel2 = info_.xlevel2;
  legacy_cache = info_.caches == CpuCaches::kCommon;
  pmu = info_.all_features();
  take_accelerator_defaults();
}

X86Cpu::~X86Cpu() {
  std::erase(realized_cpus(), this);
}

const std::vector<X86Cpu*>& X86Cpu::all() {
  return realized_cpus();
}

void X86Cpu::set_plug_handler(PlugHandler handler) {
  plug_handler() = std::move(handler);
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
  const auto& slots = cpu_slots().list;
  if (cpu_index < slots.size() && slots[cpu_index].node_id)
    node_id = static_cast<int32_t>(*slots[cpu_index].node_id);
}

bool X86Cpu::feature(FeatureBit bit) const {
  return features_[static_cast<size_t>(bit.word)] >> bit.bit & 1;
}

bool X86Cpu::feature(std::string_view name) const {
  const FeatureName* found = find_feature(name);
  return found != nullptr && feature({found->word, found->bit});
}

void X86Cpu::set_feature(std::string_view name, bool on) {
  const FeatureName* first = find_feature(name);
  if (first == nullptr) return;
  uint64_t mask = 0;
  for (const FeatureName& f : feature_names())
    if (f.word == first->word && name == f.name) mask |= uint64_t{1} << f.bit;
  touched_[static_cast<size_t>(first->word)] |= mask;
  word(first->word) = on ? word(first->word) | mask : word(first->word) & ~mask;
}

Result<> X86Cpu::do_realize() {
  if (accel_ == nullptr) {
    if (!plug_handler())
      return fail(ENOTSUP, "a CPU of type '", type().name, "' cannot be added at run time");
    TRY(plug_handler()(*this));
  }
  if (info_.kind == CpuModelKind::kHost && !under_kvm())
    return fail(ENOTSUP, "CPU model 'host' requires KVM");
  TRY(expand());
  filter(check || enforce);
  if (enforce && filtered_ != FeatureBits{}) return fail(ENOTSUP, "Host doesn't support requested features");
  repeat_amd_bits();
  TRY(choose_phys_bits());
  if (ucode_rev == 0) ucode_rev = vendor == "AuthenticAMD" ? 0x1000065 : uint64_t{1} << 32;
  if (hyperv.vendor_id.empty()) hyperv.vendor_id = "Microsoft Hv";
  VcpuConfig config{.index = index_,
                    .apic_id = apic_id,
                    .cpuid = build_cpuid(TRY(identity())),
                    .feature_msrs = feature_msrs(),
                    .tsc_khz = static_cast<uint64_t>(tsc_frequency / 1000),
                    .hyperv_synic = hyperv.has(HypervFeature::kSynic),
                    .hyperv_evmcs = hyperv.has(HypervFeature::kEvmcs)};
  vcpu_ = TRY(accel_->create_vcpu(std::move(config)));
  auto& list = realized_cpus();
  list.insert(std::ranges::upper_bound(list, index_, {}, &X86Cpu::index), this);
  return {};
}

void X86Cpu::do_unrealize() {
  std::erase(realized_cpus(), this);
  if (vcpu_ != nullptr) accel_->remove_vcpu(*std::exchange(vcpu_, nullptr));
}

Result<const X86CpuModel*> apply_cpu_option(std::string_view text) {
  CpuOption option = TRY(parse_cpu_option(text));
  for (const std::string& warning : option.ambiguous) warn_report(warning);
  if (!option.ambiguous.empty())
    warn_report("Compatibility of ambiguous CPU model strings won't be kept on future QEMU versions");
  for (auto& [name, value] : option.properties)
    add_global_property({option.model->type_name, std::move(name), std::move(value)});
  X86Cpu::set_overrides(option.model, std::move(option.plus), std::move(option.minus));
  return option.model;
}

Result<std::shared_ptr<X86Cpu>> make_x86_cpu(const X86CpuModel& info) {
  auto cpu = std::make_shared<X86Cpu>(info);
  TRY(apply_global_properties(*cpu));
  return cpu;
}

Result<> create_cpus(Accelerator& accel, const SmpTopology& smp, const X86CpuModel& model, Object& parent,
                     const NumaConfig& numa) {
  if (smp.max_cpus > accel.max_vcpus())
    return fail(EINVAL, "Number of hotpluggable cpus requested (", smp.max_cpus,
                ") exceeds the maximum cpus supported by ", accel.name() == "kvm" ? "KVM" : accel.name(),
                " (", accel.max_vcpus(), ")");
  CpuTopology topology{.sockets = smp.sockets, .dies = smp.dies, .cores = smp.cores, .threads = smp.threads};
  CpuSlots& slots = cpu_slots();
  slots.topology = topology;
  slots.model = &model;
  slots.list.assign(smp.max_cpus, {});
  for (unsigned i = 0; i < smp.max_cpus; ++i) slots.list[i].place = cpu_place(topology, i);
  TRY(assign_nodes(slots, numa));
  for (unsigned i = 0; i < smp.cpus; ++i) {
    auto cpu = TRY(make_x86_cpu(model));
    cpu->attach(accel, i, topology);
    parent.add_child("device[*]", cpu);
    if (Result<> made = cpu->realize(); !made) {
      cpu->unparent();
      return Failure(std::move(made).error());
    }
  }
  return {};
}

namespace {

Result<> check_id(const char* name, int32_t id, unsigned count) {
  if (id < 0) return fail(EINVAL, "CPU ", name, " is not set");
  if (static_cast<unsigned>(id) >= count)
    return fail(EINVAL, "Invalid CPU ", name, ": ", id, " must be in range 0:", count - 1);
  return {};
}

}  // namespace

Result<> plug_cpu(X86Cpu& cpu, Accelerator& accel) {
  const CpuSlots& slots = cpu_slots();
  const CpuTopology& t = slots.topology;
  if (slots.model != &cpu.model_info())
    return fail(EINVAL, "Invalid CPU type, expected cpu type: '",
                slots.model != nullptr ? slots.model->type_name : "", "'");
  if (cpu.die_id < 0 && t.dies == 1) cpu.die_id = 0;
  TRY(check_id("socket-id", cpu.socket_id, t.sockets));
  TRY(check_id("die-id", cpu.die_id, t.dies));
  TRY(check_id("core-id", cpu.core_id, t.cores));
  TRY(check_id("thread-id", cpu.thread_id, t.threads));
  const auto index = static_cast<unsigned>(
      ((cpu.socket_id * t.dies + cpu.die_id) * t.cores + cpu.core_id) * t.threads + cpu.thread_id);
  if (index >= slots.list.size()) return fail(EINVAL, "no such place for a CPU");
  const uint32_t apic_id = slots.list[index].place.apic_id;
  for (const X86Cpu* other : X86Cpu::all())
    if (other->index() == index) return fail(EEXIST, "CPU[", index, "] with APIC ID ", apic_id, " exists");
  const auto& node = slots.list[index].node_id;
  if (cpu.node_id >= 0 && node && cpu.node_id != *node)
    return fail(EINVAL, "invalid node-id, expected ", *node);
  cpu.attach(accel, index, t);
  return {};
}

}  // namespace rhea
