// A monitor with a small table of commands, and clients at the other end of socket pairs.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "chardev/chardev_set.h"
#include "monitor/monitor_set.h"
#include "qapi/vm_control.h"
#include "util/aio_context.h"
#include "util/co_sync.h"

namespace rhea::test {

class FakeVm final : public VmControl {
 public:
  RunState run_state() const override { return state; }
  CoResult<> co_stop() override {
    state = RunState::kPaused;
    co_return Result<>();
  }
  Result<> cont() override {
    if (state == RunState::kInternalError) return fail(EINVAL, "Resetting the Virtual Machine is required");
    state = RunState::kRunning;
    return {};
  }
  void request_quit(ShutdownCause) override { log += "quit "; }
  void request_reset(ShutdownCause) override { log += "reset "; }
  void request_powerdown() override { log += "powerdown "; }
  void request_stop(RunState reason) override { state = reason; }
  void request_suspend() override { state = RunState::kSuspended; }
  bool can_wake_up() const override { return false; }
  Result<> wake_up(WakeupReason) override { return {}; }
  void guest_panicked(std::optional<GuestPanicInformation>) override { log += "panic "; }
  void guest_crashloaded(std::optional<GuestPanicInformation>) override { log += "crashloaded "; }
  void watchdog_fired() override { log += "watchdog "; }
  std::string_view name() const override { return vm_name; }
  std::string_view uuid() const override { return "00000000-0000-0000-0000-000000000000"; }

  RunState state = RunState::kPrelaunch;
  std::string vm_name = "vm";
  std::string log;
};

/// What the test's commands work on.
struct Bench {
  CoQueue gate;  ///< "slow" waits here
  int slow_started = 0;
  std::string ran;  ///< the names of the commands, in order
};
Bench& bench();

/// qmp_capabilities, query-status, echo, fail, slow, overtake (out of band), announce (emits events), big,
/// getfd, closefd, query-yank, yank.
std::span<const QmpCommand> bench_commands();

class MonitorTest : public testing::Test {
 protected:
  MonitorTest();
  ~MonitorTest() override;
  /// A monitor on a new character device; returns the client's end.
  UniqueFd make(MonitorMode mode, bool pretty = false, bool mux = false);
  UniqueFd make_qmp(bool pretty = false);  ///< past the negotiation
  void send(const UniqueFd& fd, std::string_view text);
  void settle();
  /// What the monitor has written.
  std::string receive(const UniqueFd& fd);
  std::string ask(const UniqueFd& fd, std::string_view text) {
    send(fd, text);
    return receive(fd);
  }
  bool run_until(const std::function<bool()>& done, const char* what);

  std::unique_ptr<AioContext> loop;
  std::unique_ptr<ChardevSet> chardevs;
  FakeVm vm;
  char dummy = 0;  ///< stands for what no command here reaches
  std::unique_ptr<QmpContext> context;
  std::unique_ptr<MonitorSet> monitors;
  int made = 0;
};

}  // namespace rhea::test
