// QMP: query-target, query-current-machine, inject-nmi, set-numa-node, x-exit-preconfig.
#include "hw/core/machine.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qapi_commands_misc.h"
#include "qapi/vm_control.h"
#include "system/vm.h"

namespace rhea {

Result<TargetInfo> qmp_query_target(QmpContext&) {
  TargetInfo info;
  info.arch = SysEmuTarget::kX8664;
  return info;
}

Result<CurrentMachineParams> qmp_query_current_machine(QmpContext& ctx) {
  CurrentMachineParams params;
  params.wakeup_suspend_support = ctx.vm.can_wake_up();
  return params;
}

Result<> qmp_inject_nmi(QmpContext& ctx) {
  auto* machine = dynamic_cast<Machine*>(ctx.qom.resolve("/machine"));
  if (machine == nullptr) return fail(ENOTSUP, "machine does not provide NMIs");
  return machine->inject_nmi();
}

Result<> qmp_set_numa_node(QmpContext& ctx, NumaOptions options) {
  auto* const vm = dynamic_cast<Vm*>(&ctx.vm);
  if (vm == nullptr || vm->initialized())
    return fail(EPERM, "The command is permitted only before the machine has been created");
  return vm->add_numa(options);
}

CoResult<> qmp_x_exit_preconfig(QmpContext& ctx) {
  co_return co_await ctx.vm.co_exit_preconfig();
}

}  // namespace rhea
