// rhea: the virtual machine process.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <unistd.h>

#include <cstdio>

#include "accel/accel.h"
#include "backends/backend_types.h"
#include "block/qmp/block_hmp.h"
#include "block/throttle/group_object.h"
#include "chardev/chardev_hmp.h"
#include "hw/i386/pc.h"
#include "memory/backend.h"
#include "monitor/hmp.h"
#include "qapi/hmp_registry.h"
#include "system/daemonize.h"
#include "system/hmp_machine.h"
#include "system/vm.h"
#include "target/i386/x86_cpu.h"
#include "ui/input.h"
#include "ui/vnc/vnc_server.h"
#include "util/co_sync.h"
#include "util/log.h"

namespace rhea {
namespace {

std::string base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// SIGINT, SIGTERM and SIGHUP arrive at the loop; SIGPIPE nowhere. Before any thread starts.
UniqueFd block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, s);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

Result<> run(CommandLine command_line, int& exit_code) {
  Daemon daemon;
  if (command_line.daemonize) TRY(daemon.fork_away());
  PidFile pidfile;
  if (!command_line.pidfile.empty()) TRY(pidfile.create(command_line.pidfile));
  if (command_line.lock_memory && mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
    return fail_errno(errno, "locking memory failed");
  const UniqueFd signals = block_signals();
  const SandboxOptions sandbox = command_line.sandbox;
  const std::string root = command_line.chroot_directory;
  const std::optional<UserIdentity> user = command_line.run_as;
  // As early as can be; changing user and root takes calls that the sandbox may deny.
  const bool changes = !root.empty() || user;
  if (!changes) TRY(enter_sandbox(sandbox));
  const std::unique_ptr<AioContext> loop = TRY(AioContext::create("main"));
  const MachineGuard guard(machine_lock());
  loop->set_dispatch_lock(&machine_lock());
  Vm vm(*loop, std::move(command_line));
  vm.chardevs().settings().interrupt_fd = signals.get();
  const auto watch = loop->watch_fd(signals.get(), EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      info_report(str_cat("terminating on signal ", info.ssi_signo, " from pid ", info.ssi_pid));
      vm.request_quit(ShutdownCause::kHostSignal);
    }
  });
  Result<> started = run_to_completion(*loop, vm.co_start());
  if (started) started = daemon.detach();
  if (started && changes) started = change_identity(root, user);
  if (started && changes) started = enter_sandbox(sandbox);
  if (started) started = daemon.ready();
  if (started && !vm.ending()) loop->run();
  Timer out_of_patience(*loop, realtime_clock(), [&] {
    warn_report("disks have not finished what is under way; ending without them");
    pidfile.remove();
    _exit(vm.exit_code());
  });
  if (vm.quits_bounded()) out_of_patience.arm_in(VmControl::kBoundedNs);
  Result<> stopped = run_to_completion(*loop, vm.co_shut_down());
  out_of_patience.cancel();
  if (!started) return started;
  exit_code = vm.exit_code();
  return stopped;
}

int real_main(int argc, char** argv) {
  log_set_program(base_name(argc > 0 ? argv[0] : "rhea"));
  register_pc_types();
  register_chardev_types();
  register_x86_cpu_types();
  TypeRegistry::instance().add(
      {&MemoryBackendRam::kType, &MemoryBackendFile::kType, &MemoryBackendMemfd::kType});
  register_backend_types(TypeRegistry::instance());
  register_throttle_types(TypeRegistry::instance());
  hmp_register_generic(hmp_registry());
  hmp_register_media(hmp_registry());
  hmp_register_input(hmp_registry());
  hmp_register_screendump(hmp_registry());
  hmp_register_vnc(hmp_registry());
  register_block_hmp(hmp_registry());
  register_chardev_hmp(hmp_registry());
  register_machine_hmp(hmp_registry());
  Result<CommandLine> command_line = parse_command_line(argc, argv);
  if (!command_line) {
    error_report(command_line.error());
    return 1;
  }
  if (command_line->answer) {
    std::fputs(command_line->answer->c_str(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  int exit_code = 0;
  Result<> r = run(std::move(*command_line), exit_code);
  if (r) return exit_code;
  error_report(r.error());
  return 1;
}

}  // namespace
}  // namespace rhea

int main(int argc, char** argv) {
  return rhea::real_main(argc, argv);
}
