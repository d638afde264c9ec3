// What the virtual machine does when its guest panics, hangs, sleeps or wakes up.
#include "qapi/qapi_events_runstate.h"
#include "system/vm.h"
#include "util/log.h"

namespace rhea {

/// Stops, and lets what is under way at the disks end in the background.
void Vm::stop_and_drain(RunState state) {
  const bool ran = state_ == RunState::kRunning;
  stop_as(state);
  if (ran) background_.spawn(co_drain_disks(), {});
}

void Vm::request_stop(RunState state) {
  if (accel_ == nullptr || accel_->current_vcpu() == nullptr) return stop_and_drain(state);
  int none = kNoCause;
  stop_request_.compare_exchange_strong(none, static_cast<int>(state));
  kick();
}

// --- Panic and watchdog.

void Vm::guest_panicked(std::optional<GuestPanicInformation> info) {
  const VmActions& on = actions();
  const bool ends = on.panic == PanicAction::kShutdown || on.panic == PanicAction::kExitFailure;
  if (on.panic == PanicAction::kPause ||
      (on.panic == PanicAction::kShutdown && on.shutdown == ShutdownAction::kPause)) {
    qapi_event_send_guest_panicked(GuestPanicAction::kPause, std::move(info));
    request_stop(RunState::kGuestPanicked);
  } else if (ends) {
    qapi_event_send_guest_panicked(GuestPanicAction::kPoweroff, std::move(info));
    request_stop(RunState::kGuestPanicked);
    request_quit(ShutdownCause::kGuestPanic);
  } else {
    qapi_event_send_guest_panicked(GuestPanicAction::kRun, std::move(info));
  }
}

void Vm::guest_crashloaded(std::optional<GuestPanicInformation> info) {
  qapi_event_send_guest_crashloaded(GuestPanicAction::kRun, std::move(info));
}

void Vm::watchdog_fired() {
  const WatchdogAction action = actions().watchdog;
  qapi_event_send_watchdog(action);
  switch (action) {
    case WatchdogAction::kReset:
      return request_reset(ShutdownCause::kGuestReset);
    case WatchdogAction::kShutdown:
      return request_powerdown();
    case WatchdogAction::kPoweroff:
      return request_exit(0);
    case WatchdogAction::kPause:
      return request_stop(RunState::kWatchdog);
    case WatchdogAction::kDebug:
      return info_report("watchdog: timer fired");
    case WatchdogAction::kInjectNmi:
      std::ignore = machine_->inject_nmi();  // fails where no processor could see it
      return;
    case WatchdogAction::kNone:
      return;
  }
}

// --- Sleep (ACPI S3).

void Vm::request_suspend() {
  suspend_request_ = true;
  kick();
}

void Vm::do_suspend() {
  if (state_ != RunState::kRunning || machine_ == nullptr) return;
  accel_->stop_vcpus();
  machine_->suspend();
  state_ = RunState::kSuspended;
  qapi_event_send_suspend();
}

Result<> Vm::wake_up(WakeupReason reason) {
  if (!can_wake_up()) return fail(ENOTSUP, "wake-up from suspend is not supported");
  if (state_ != RunState::kSuspended)
    return fail(EINVAL, "Unable to wake up: guest is not in suspended state");
  int none = kNoCause;
  wakeup_request_.compare_exchange_strong(none, static_cast<int>(reason));
  loop_.post([this] { handle_requests(); });
  return {};
}

void Vm::do_wake_up(WakeupReason reason) {
  if (state_ != RunState::kSuspended || resetting_) return;
  resetting_ = true;
  background_.spawn(co_wake_up(reason), {});
}

/// As after a reset, but for what tells the firmware that memory still holds the guest.
CoResult<> Vm::co_wake_up(WakeupReason reason) {
  {
    GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph_.co_drain_all(lock));
    machine_->wake_up(reason);
  }
  resetting_ = false;
  loop_.post([this] { handle_requests(); });
  if (state_ != RunState::kSuspended) co_return Result<>();  // something else has come between
  state_ = RunState::kRunning;
  accel_->start_vcpus();
  qapi_event_send_wakeup();
  co_return Result<>();
}

namespace {

/// What a stop and who waits for it, but not without end, have in common.
struct BoundedStop {
  CoQueue ended;
  std::optional<Result<>> result;
};

CoResult<> co_stop_into(Vm& vm, std::shared_ptr<BoundedStop> stop) {
  CoResult<> work = vm.co_stop();
  stop->result = co_await std::move(work);
  stop->ended.wake_all();
  co_return Result<>();
}

}  // namespace

CoResult<> Vm::co_bounded_stop() {
  auto stop = std::make_shared<BoundedStop>();
  background_.spawn(co_stop_into(*this, stop), {});
  Timer deadline(loop_, realtime_clock(), [stop] { stop->ended.wake_all(); });
  deadline.arm_in(kBoundedNs);
  if (!stop->result) co_await stop->ended.co_wait();
  if (stop->result) co_return std::move(*stop->result);
  co_return fail(EBUSY, "The machine is stopped, but its disks have not finished what is under way");
}

void Vm::request_bounded_quit(ShutdownCause cause) {
  quits_bounded_ = true;
  request_quit(cause);
}

}  // namespace rhea
