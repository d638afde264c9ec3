// The human monitor's views of the machine: info mtree, pci, kvm, history.
#include "system/hmp_machine.h"

#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "hw/mem/pc_dimm.h"
#include "hw/pci/pci_device.h"
#include "memory/memory.h"
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

Result<> info_mtree(HmpCall& call) {
  call.out += memory_tree_text(call.flag("flatview"));
  return {};
}

Result<> info_pci(HmpCall& call) {
  const auto* bus = dynamic_cast<PciBus*>(find_bus(call.ctx.qom.container("/machine"), "pci.0"));
  if (bus == nullptr)
    call.print("No PCI buses\n");
  else
    call.out += bus->info_text();
  return {};
}

Result<> info_history(HmpCall& call) {
  if (call.history == nullptr) return {};
  for (size_t i = 0; i < call.history->size(); ++i) call.print(i, ": '", (*call.history)[i], "'\n");
  return {};
}

Result<> info_kvm(HmpCall& call) {
  const Accelerator* accel = machine_accelerator();
  call.print("kvm support: ", accel != nullptr && accel->name() == "kvm" ? "enabled" : "disabled", "\n");
  return {};
}

Result<> hmp_nmi(HmpCall& call) {
  return qmp_inject_nmi(call.ctx);
}

Result<> info_vm_generation_id(HmpCall& call) {
  const GuidInfo info = TRY(qmp_query_vm_generation_id(call.ctx));
  call.print(info.guid, "\n");
  return {};
}

/// One node after the other: its processors, and its memory in MB.
Result<> info_numa(HmpCall& call) {
  const auto* machine = dynamic_cast<const Machine*>(call.ctx.qom.resolve("/machine"));
  const NumaConfig* numa =
      machine != nullptr && machine->config != nullptr ? &machine->config->numa : nullptr;
  const size_t count = numa != nullptr ? numa->nodes.size() : 0;
  call.print(count, " nodes\n");
  if (count == 0) return {};
  const std::vector<CpuInfoFast> cpus = TRY(qmp_query_cpus_fast(call.ctx));
  for (size_t i = 0; i < count; ++i) {
    call.print("node ", i, " cpus:");
    for (const CpuInfoFast& cpu : cpus)
      if (cpu.props && cpu.props->node_id == static_cast<int64_t>(i)) call.print(" ", cpu.cpu_index);
    uint64_t plugged = 0;
    for (const PcDimm* module : memory_devices().modules())
      if (module->node == i) plugged += module->bytes();
    call.print("\nnode ", i, " size: ", (numa->nodes[i].bytes + plugged) >> 20, " MB\nnode ", i,
               " plugged: ", plugged >> 20, " MB\n");
  }
  return {};
}

constexpr HmpCommand kHmpMachineCommands[] = {
    {.name = "info numa", .help = "show NUMA information", .run = info_numa},
    {.name = "info vm-generation-id",
     .help = "Show Virtual Machine Generation ID",
     .run = info_vm_generation_id},
    {.name = "nmi", .help = "inject an NMI", .run = hmp_nmi},
    {.name = "info mtree",
     .args = "flatview:-f",
     .params = "[-f]",
     .help = "show memory tree (-f: dump flat view for address spaces)",
     .run = info_mtree},
    {.name = "info pci", .help = "show PCI info", .run = info_pci},
    {.name = "info history", .help = "show the command line history", .run = info_history},
    {.name = "info kvm", .help = "show KVM information", .run = info_kvm},
};

}  // namespace

void register_machine_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpMachineCommands) registry.add(command);
  register_control_hmp(registry);
  register_dump_hmp(registry);
  register_stats_hmp(registry);
  register_cpu_hmp(registry);
  register_interrupt_hmp(registry);
  register_log_hmp(registry);
  register_memory_hmp(registry);
  register_qom_hmp(registry);
  register_device_hmp(registry);
  register_net_hmp(registry);
}

}  // namespace rhea
