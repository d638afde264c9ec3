// QMP about processors: query-kvm, query-cpus-fast, query-hotpluggable-cpus, query-cpu-definitions,
// query-cpu-model-expansion.
#include <algorithm>

#include "qapi/qapi_commands_machine.h"
#include "target/i386/cpu_slots.h"
#include "target/i386/x86_cpu.h"

namespace rhea {

Result<KvmInfo> qmp_query_kvm(QmpContext&) {
  KvmInfo info;
  info.enabled = machine_accelerator() != nullptr && machine_accelerator()->name() == "kvm";
  info.present = true;  // the program knows how; whether the host does shows in `enabled`
  return info;
}

namespace {

CpuInstanceProperties instance_properties(const CpuSlot& slot, const CpuTopology& topology) {
  CpuInstanceProperties props;
  if (slot.node_id) props.node_id = *slot.node_id;
  props.socket_id = slot.place.socket;
  if (topology.dies > 1) props.die_id = slot.place.die;
  props.core_id = slot.place.core;
  props.thread_id = slot.place.thread;
  return props;
}

}  // namespace

Result<std::vector<CpuInfoFast>> qmp_query_cpus_fast(QmpContext&) {
  std::vector<CpuInfoFast> list;
  const CpuSlots& slots = cpu_slots();
  for (const X86Cpu* cpu : X86Cpu::all()) {
    CpuInfoFast info;
    info.cpu_index = cpu->index();
    info.qom_path = cpu->path();
    info.thread_id = cpu->vcpu()->thread_id();
    if (cpu->index() < slots.list.size())
      info.props = instance_properties(slots.list[cpu->index()], slots.topology);
    info.target = SysEmuTarget::kX8664;
    list.push_back(std::move(info));
  }
  return list;
}

Result<std::vector<HotpluggableCPU>> qmp_query_hotpluggable_cpus(QmpContext&) {
  const CpuSlots& slots = cpu_slots();
  if (slots.list.empty()) return fail(ENOTSUP, "machine does not support hot-plugging CPUs");
  std::vector<HotpluggableCPU> list;
  for (size_t i = slots.list.size(); i-- > 0;) {
    HotpluggableCPU& item = list.emplace_back();
    item.type = slots.model->type_name;
    item.vcpus_count = 1;
    item.props = instance_properties(slots.list[i], slots.topology);
    for (const X86Cpu* cpu : X86Cpu::all())
      if (cpu->index() == i) item.qom_path = cpu->path();
  }
  return list;
}

Result<std::vector<CpuDefinitionInfo>> qmp_query_cpu_definitions(QmpContext&) {
  std::vector<CpuDefinitionInfo> list;
  for (const X86CpuModel& model : cpu_models()) {
    CpuDefinitionInfo& info = list.emplace_back();
    info.name = model.name;
    info.typename_ = model.type_name;
    if (!model.alias_of.empty()) info.alias_of = model.alias_of;
    info.static_ = model.kind == CpuModelKind::kBase;
    info.migration_safe = !model.all_features();
    info.deprecated = false;
    const bool kvm = machine_accelerator() != nullptr && machine_accelerator()->name() == "kvm";
    if (model.kind == CpuModelKind::kHost && !kvm) {
      info.unavailable_features = std::vector<std::string>{"kvm"};
      continue;
    }
    X86Cpu cpu(model);
    TRY(cpu.expand());
    cpu.filter(false);
    info.unavailable_features = cpu.unavailable_features();
  }
  return list;
}

namespace {

/// The properties that a static expansion speaks of: features by their current names, and identity.
std::vector<std::string> static_properties() {
  std::vector<std::string> names = {"vendor",   "family",    "model",     "stepping",
                                    "model-id", "min-level", "min-xlevel"};
  for (const FeatureName& f : feature_names())
    if (find_feature(f.name) == &f) names.emplace_back(f.name);
  return names;
}

Result<Json> read_properties(const X86Cpu& cpu, bool all) {
  Json props = Json::object();
  if (!all) {
    for (const std::string& name : static_properties()) props.set(name, TRY(cpu.get_property(name)));
    return props;
  }
  for (const TypeInfo* t = &cpu.type(); t != nullptr; t = t->parent) {
    for (const PropertyInfo& p : t->properties) {
      if (p.get == nullptr || p.set == nullptr || props.find(p.name) != nullptr) continue;
      props.set(p.name, p.get(cpu));
    }
  }
  return props;
}

}  // namespace

Result<CpuModelExpansionInfo> qmp_query_cpu_model_expansion(QmpContext&, QueryCpuModelExpansionArgs args) {
  const X86CpuModel* model = find_cpu_model(args.model.name);
  if (model == nullptr) return fail(ENOENT, "CPU model '", args.model.name, "' not found");
  std::shared_ptr<X86Cpu> cpu = TRY(make_x86_cpu(*model));
  if (args.model.props) {
    if (!args.model.props->is_object())
      return fail(EINVAL, "Invalid parameter type for 'model.props', expected: object");
    for (const auto& [name, value] : args.model.props->as_object())
      TRY(cpu->set_property(name, value, ValueForm::kTyped));
  }
  TRY(cpu->expand());
  CpuModelExpansionInfo info;
  const bool all = args.type == CpuModelExpansionType::kFull;
  info.model.name = all ? args.model.name : "base";
  info.model.props = TRY(read_properties(*cpu, all));
  return info;
}

}  // namespace rhea
