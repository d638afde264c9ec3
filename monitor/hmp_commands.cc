// HMP commands about the program and the machine as a whole. Each goes through the QMP handler of its
// subject.
#include "chardev/chardev_set.h"
#include "monitor/hmp.h"
#include "monitor/version.h"
#include "qapi/qapi_commands_runstate.h"
#include "qapi/vm_control.h"

namespace rhea {

namespace {

void print_help_line(HmpCall& call, const HmpCommand& c) {
  call.print(c.name, " ", c.params, " -- ", c.help, "\n");
}

Result<> hmp_help(HmpCall& call) {
  const HmpRegistry& registry = hmp_registry();
  const std::string_view topic = call.str("name");
  if (topic.empty()) {
    for (const HmpCommand* c : registry.commands()) print_help_line(call, *c);
    return {};
  }
  if (topic == "info" && !call.has("subname")) {
    for (const HmpCommand* c : registry.info_commands()) print_help_line(call, *c);
    return {};
  }
  const std::string full =
      call.has("subname") ? str_cat(topic, " ", call.str("subname")) : std::string(topic);
  if (const HmpCommand* c = registry.find(full))
    print_help_line(call, *c);
  else
    call.print("unknown command: '", full, "'\n");
  return {};
}

/// "info" without a subject.
Result<> hmp_info(HmpCall& call) {
  for (const HmpCommand* c : hmp_registry().info_commands()) print_help_line(call, *c);
  return {};
}

Result<> hmp_quit(HmpCall& call) {
  call.ctx.vm.request_quit(ShutdownCause::kHostQmpQuit);
  return {};
}

CoResult<> hmp_stop(HmpCall& call) {
  return qmp_stop(call.ctx);
}

Result<> hmp_cont(HmpCall& call) {
  return qmp_cont(call.ctx);
}

Result<> hmp_system_reset(HmpCall& call) {
  return qmp_system_reset(call.ctx);
}

Result<> hmp_system_powerdown(HmpCall& call) {
  return qmp_system_powerdown(call.ctx);
}

Result<> hmp_system_wakeup(HmpCall& call) {
  return qmp_system_wakeup(call.ctx);
}

Result<> hmp_watchdog_action(HmpCall& call) {
  WatchdogSetActionArgs args;
  const std::optional<WatchdogAction> action = from_string<WatchdogAction>(call.str("action"));
  if (!action) return fail(EINVAL, "Parameter 'action' does not accept value '", call.str("action"), "'");
  args.action = *action;
  return qmp_watchdog_set_action(call.ctx, args);
}

Result<> hmp_info_version(HmpCall& call) {
  call.print(kQemuMajor, ".", kQemuMinor, ".", kQemuMicro, " (", package_version(), ")\n");
  return {};
}

Result<> hmp_info_status(HmpCall& call) {
  const RunState state = call.ctx.vm.run_state();
  call.print("VM status: ", call.ctx.vm.running() ? "running" : "paused");
  if (state != RunState::kRunning && state != RunState::kPaused) call.print(" (", to_string(state), ")");
  call.print("\n");
  return {};
}

Result<> hmp_info_name(HmpCall& call) {
  if (!call.ctx.vm.name().empty()) call.print(call.ctx.vm.name(), "\n");
  return {};
}

Result<> hmp_info_uuid(HmpCall& call) {
  call.print(call.ctx.vm.uuid(), "\n");
  return {};
}

Result<> hmp_info_chardev(HmpCall& call) {
  for (const ChardevState& c : call.ctx.chardevs.snapshot())
    call.print(c.label, ": filename=", c.filename, "\n");
  return {};
}

CoResult<> hmp_exit_preconfig(HmpCall& call) {
  co_return co_await call.ctx.vm.co_exit_preconfig();
}

constexpr HmpCommand kHmpCommands[] = {
    {"help|?", "name:s?,subname:s?", "[cmd]", "show the help", hmp_help},
    {"info", "", "[subcommand]", "show various information about the system state", hmp_info},
    {"quit|q", "", "", "quit the emulator", hmp_quit},
    {"exit_preconfig", "", "", "exit the preconfig state", nullptr, hmp_exit_preconfig},
    {"stop|s", "", "", "stop emulation", nullptr, hmp_stop},
    {"cont|c", "", "", "resume emulation", hmp_cont},
    {"system_reset", "", "", "reset the system", hmp_system_reset},
    {"system_powerdown", "", "", "send system power down event", hmp_system_powerdown},
    {"system_wakeup", "", "", "wakeup guest from suspend", hmp_system_wakeup},
    {"watchdog_action", "action:s", "[reset|shutdown|poweroff|pause|debug|none|inject-nmi]",
     "change watchdog action", hmp_watchdog_action},
    {"info version", "", "", "show the version of QEMU", hmp_info_version},
    {"info status", "", "", "show the current VM status (running|paused)", hmp_info_status},
    {"info name", "", "", "show the current VM name", hmp_info_name},
    {"info uuid", "", "", "show the current VM UUID", hmp_info_uuid},
    {"info chardev", "", "", "show the character devices", hmp_info_chardev},
};

}  // namespace

void hmp_register_generic(HmpRegistry& registry) {
  for (const HmpCommand& command : kHmpCommands) registry.add(command);
}

}  // namespace rhea
