// VmControl: what the control plane may ask of the virtual machine as a whole. system/ implements it.
#pragma once

#include <string_view>

#include "qapi/qapi_types_runstate.h"
#include "util/coroutine.h"
#include "util/result.h"

namespace rhea {

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
  /// Lets them run (event RESUME); refused with the reason where a reset must come first.
  virtual Result<> cont() = 0;

  // Requests are carried out by the main loop soon after; they cannot fail.
  /// Ends the process (event SHUTDOWN). Any thread.
  virtual void request_quit(ShutdownCause cause) = 0;
  /// Resets the machine (event RESET). Any thread.
  virtual void request_reset(ShutdownCause cause) = 0;
  /// Presses the power button (event POWERDOWN). Any thread.
  virtual void request_powerdown() = 0;

  /// -name; empty if none was given.
  virtual std::string_view name() const = 0;
  /// -uuid in its 36-character form; all zeros if none was given.
  virtual std::string_view uuid() const = 0;
};

}  // namespace rhea
