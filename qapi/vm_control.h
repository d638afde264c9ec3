// VmControl: what the control plane may ask of the virtual machine as a whole. system/ implements it.
#pragma once

#include <optional>
#include <string_view>

#include "qapi/qapi_types_runstate.h"
#include "util/coroutine.h"
#include "util/result.h"

namespace rhea {

/// What is done when the guest does something (-action, set-action).
struct VmActions {
  RebootAction reboot = RebootAction::kReset;
  ShutdownAction shutdown = ShutdownAction::kPoweroff;
  PanicAction panic = PanicAction::kShutdown;
  WatchdogAction watchdog = WatchdogAction::kReset;
};

/// What has woken a sleeping guest.
enum class WakeupReason : uint8_t { kRtc, kPmTimer, kOther };

/// Main thread, unless a member says otherwise.
class VmControl {
 public:
  virtual ~VmControl() = default;

  virtual RunState run_state() const = 0;
  /// True while the virtual CPUs run.
  bool running() const { return run_state() == RunState::kRunning; }
  /// Stops all virtual CPUs (event STOP) and waits until no disk has a request under way, so that nothing
  /// changes guest memory or images any more; nothing if they are stopped.
  virtual CoResult<> co_stop() = 0;
  /// The same; fails if the disks have not finished within kBoundedNs, though the virtual CPUs are stopped.
  virtual CoResult<> co_bounded_stop() { return co_stop(); }
  static constexpr int64_t kBoundedNs = 800'000'000;
  /// Lets them run (event RESUME); refused with the reason where a reset must come first.
  virtual Result<> cont() = 0;

  // Requests are carried out by the main loop soon after; they cannot fail.
  /// Ends the process (event SHUTDOWN); kHostQmpQuit in the main thread at once, if no reset is under way.
  /// Any thread.
  virtual void request_quit(ShutdownCause cause) = 0;
  /// The same; disks that have not finished within kBoundedNs are left as they are. Main thread.
  virtual void request_bounded_quit(ShutdownCause cause) { request_quit(cause); }
  /// Resets the machine (event RESET). Any thread.
  virtual void request_reset(ShutdownCause cause) = 0;
  /// Presses the power button (event POWERDOWN). Any thread.
  virtual void request_powerdown() = 0;

  /// Stops the virtual CPUs for `state`'s reason (event STOP). At once on the main thread; on a virtual
  /// CPU's, that one does nothing more and the rest follows. Any thread with the machine lock.
  virtual void request_stop(RunState state) = 0;
  /// The guest sleeps (S3, event SUSPEND) until wake_up(). Any thread.
  virtual void request_suspend() = 0;
  /// Whether the machine's guest can sleep and be woken.
  virtual bool can_wake_up() const = 0;
  /// Ends the guest's sleep (event WAKEUP) soon after; refused with the reason where it does not sleep or
  /// cannot be woken. Any thread with the machine lock.
  virtual Result<> wake_up(WakeupReason reason) = 0;

  // The guest has told something: sends the event, and does what actions() say. Any thread with the machine
  // lock.
  virtual void guest_panicked(std::optional<GuestPanicInformation> info) = 0;
  virtual void guest_crashloaded(std::optional<GuestPanicInformation> info) = 0;
  virtual void watchdog_fired() = 0;
  VmActions& actions() { return actions_; }
  const VmActions& actions() const { return actions_; }

  /// False until the machine stands: with -preconfig clients may meet it before.
  virtual bool initialized() const { return true; }
  /// Ends the wait of -preconfig; returns when the machine stands. Fails where there is none to end.
  virtual CoResult<> co_exit_preconfig();

  /// -name; empty if none was given.
  virtual std::string_view name() const = 0;
  /// -uuid in its 36-character form; all zeros if none was given.
  virtual std::string_view uuid() const = 0;

 private:
  VmActions actions_;
};

inline CoResult<> VmControl::co_exit_preconfig() {
  co_return fail(EPERM, "The command is permitted only before machine initialization");
}

}  // namespace rhea
