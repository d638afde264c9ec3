// The human monitor's views of the machine: info qtree, qom-tree, mtree, pci, cpus, registers.
#include "system/hmp_machine.h"

#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/pci/pci_device.h"
#include "memory/memory.h"
#include "qapi/hmp_registry.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

Result<> info_qtree(HmpCall& call) {
  call.out += qtree_text(call.ctx.qom.container("/machine"));
  return {};
}

void print_tree(const Object& object, int indent, std::string& out) {
  out.append(static_cast<size_t>(indent), ' ');
  str_append(out, "/", object.name(), " (", object.type().name, ")\n");
  for (const auto& child : object.children()) print_tree(*child, indent + 2, out);
}

Result<> info_qom_tree(HmpCall& call) {
  const std::string path = call.has("path") ? std::string(call.str("path")) : "/machine";
  bool ambiguous = false;
  const Object* object = call.ctx.qom.resolve(path, &ambiguous);
  if (object == nullptr) {
    call.print(ambiguous ? "Warning: Path '" : "Path '", path,
               ambiguous ? "' is ambiguous" : "' could not be resolved.", "\n");
    return {};
  }
  print_tree(*object, 0, call.out);
  return {};
}

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

Result<> info_cpus(HmpCall& call) {
  call.out += info_cpus_text(static_cast<unsigned>(call.cpu_index.value_or(0)));
  return {};
}

Result<> info_registers(HmpCall& call) {
  call.out +=
      TRY(info_registers_text(static_cast<unsigned>(call.cpu_index.value_or(0)), call.flag("cpustate_all")));
  return {};
}

constexpr HmpCommand kCommands[] = {
    {.name = "info qtree", .help = "show device tree", .run = info_qtree},
    {.name = "info qom-tree",
     .args = "path:s?",
     .params = "[path]",
     .help = "show QOM composition tree",
     .run = info_qom_tree},
    {.name = "info mtree",
     .args = "flatview:-f",
     .params = "[-f]",
     .help = "show memory tree (-f: dump flat view for address spaces)",
     .run = info_mtree},
    {.name = "info pci", .help = "show PCI info", .run = info_pci},
    {.name = "info cpus", .help = "show infos for each CPU", .run = info_cpus},
    {.name = "info registers",
     .args = "cpustate_all:-a",
     .params = "[-a]",
     .help = "show the cpu registers (-a: show register info for all cpus)",
     .run = info_registers},
};

}  // namespace

void register_machine_hmp(HmpRegistry& registry) {
  for (const auto& command : kCommands) registry.add(command);
}

}  // namespace rhea
