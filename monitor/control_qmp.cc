// QMP commands about the connection, the program and the machine as a whole.
#include "monitor/hmp.h"
#include "monitor/version.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_control.h"
#include "qapi/qapi_commands_misc.h"
#include "qapi/qapi_commands_runstate.h"
#include "qapi/vm_control.h"

namespace rhea {

Result<> qmp_qmp_capabilities(QmpContext& ctx, QmpCapabilitiesArgs args) {
  if (ctx.session == nullptr) return fail(EINVAL, "There is no connection to negotiate on");
  return ctx.session->negotiate(args.enable.value_or(std::vector<QMPCapability>()));
}

Result<VersionInfo> qmp_query_version(QmpContext&) {
  VersionInfo info;
  info.qemu.major = kQemuMajor;
  info.qemu.minor = kQemuMinor;
  info.qemu.micro = kQemuMicro;
  info.package = package_version();
  return info;
}

Result<> qmp_quit(QmpContext& ctx) {
  if (ctx.session != nullptr && ctx.session->bounded()) {
    ctx.vm.request_bounded_quit(ShutdownCause::kHostQmpQuit);
    return {};
  }
  ctx.vm.request_quit(ShutdownCause::kHostQmpQuit);
  return {};
}

Result<StatusInfo> qmp_query_status(QmpContext& ctx) {
  StatusInfo info;
  info.status = ctx.vm.run_state();
  info.running = ctx.vm.running();
  return info;
}

CoResult<> qmp_stop(QmpContext& ctx) {
  if (ctx.session != nullptr && ctx.session->bounded()) return ctx.vm.co_bounded_stop();
  return ctx.vm.co_stop();
}

Result<> qmp_cont(QmpContext& ctx) {
  return ctx.vm.cont();
}

Result<> qmp_system_reset(QmpContext& ctx) {
  ctx.vm.request_reset(ShutdownCause::kHostQmpSystemReset);
  return {};
}

Result<> qmp_system_powerdown(QmpContext& ctx) {
  ctx.vm.request_powerdown();
  return {};
}

Result<> qmp_system_wakeup(QmpContext& ctx) {
  return ctx.vm.wake_up(WakeupReason::kOther);
}

Result<> qmp_set_action(QmpContext& ctx, SetActionArgs args) {
  VmActions& on = ctx.vm.actions();
  on.reboot = args.reboot.value_or(on.reboot);
  on.shutdown = args.shutdown.value_or(on.shutdown);
  on.panic = args.panic.value_or(on.panic);
  on.watchdog = args.watchdog.value_or(on.watchdog);
  return {};
}

Result<> qmp_watchdog_set_action(QmpContext& ctx, WatchdogSetActionArgs args) {
  ctx.vm.actions().watchdog = args.action;
  return {};
}

Result<NameInfo> qmp_query_name(QmpContext& ctx) {
  NameInfo info;
  if (!ctx.vm.name().empty()) info.name = ctx.vm.name();
  return info;
}

Result<UuidInfo> qmp_query_uuid(QmpContext& ctx) {
  UuidInfo info;
  info.UUID = ctx.vm.uuid();
  return info;
}

Result<> qmp_getfd(QmpContext& ctx, GetfdArgs args) {
  UniqueFd fd = ctx.session != nullptr ? ctx.session->received_fd() : UniqueFd();
  if (!fd) return fail(EINVAL, "No file descriptor supplied via SCM_RIGHTS");
  if (args.fdname.empty() || (args.fdname[0] >= '0' && args.fdname[0] <= '9'))
    return fail(EINVAL, "Parameter 'fdname' expects a name not starting with a digit");
  ctx.session->keep_fd(std::move(args.fdname), std::move(fd));
  return {};
}

Result<> qmp_closefd(QmpContext& ctx, ClosefdArgs args) {
  if (ctx.session == nullptr) return fail(EINVAL, "File descriptor named '", args.fdname, "' not found");
  return ctx.session->drop_fd(args.fdname);
}

CoResult<std::string> qmp_human_monitor_command(QmpContext& ctx, HumanMonitorCommandArgs args) {
  HmpCall call(ctx);
  call.cpu_index = args.cpu_index;
  auto work = hmp_execute(call, std::move(args.command_line));
  std::ignore = co_await std::move(work);  // errors are in the text
  co_return hmp_wire_text(call.out);
}

}  // namespace rhea
