// What command handlers and devices may ask of the machine's run state. Implemented in system/.
#pragma once

#include <array>
#include <string>

#include "qapi/qapi_types_runstate.h"
#include "util/result.h"

namespace rhea {

class VmControl {
 public:
  virtual ~VmControl() = default;

  virtual RunState run_state() const = 0;
  bool running() const { return run_state() == RunState::kRunning; }

  /// Stops all vCPUs and the virtual clock, quiesces the disks, and enters `state`; STOP is sent if the machine ran. Main
  /// thread. stop(kPaused) is what QMP's stop does.
  virtual Result<> stop(RunState state) = 0;
  /// Lets the machine run; RESUME is sent before this returns. Fails with QEMU's text where a reset is needed first. Main
  /// thread.
  virtual Result<> cont() = 0;

  // Requests, from any thread; the main loop acts on them when it comes round, whoever asked.
  /// Ends the machine: SHUTDOWN is sent; the process ends unless -no-shutdown holds it for this cause.
  virtual void request_shutdown(ShutdownCause cause) = 0;
  /// Resets the machine: RESET is sent. With -no-reboot a guest's reset becomes a shutdown.
  virtual void request_reset(ShutdownCause cause) = 0;
  /// Presses the power button: POWERDOWN is sent.
  virtual void request_powerdown() = 0;
  /// Stops the machine in `state` as soon as the main loop comes round: kIoError, kInternalError.
  virtual void request_stop(RunState state) = 0;

  /// -name and -uuid; the name is empty if none was given, the UUID all zeros.
  virtual const std::string& guest_name() const = 0;
  virtual const std::array<uint8_t, 16>& uuid() const = 0;
};

}  // namespace rhea
