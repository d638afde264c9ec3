// The removal of devices as a conversation: a manager asks, the guest is told and lets go, the device is
// taken away, and only then is its backend free. How far each is shows in queries and in the event
// DEVICE_UNPLUG.
#pragma once

#include "hw/core/device.h"
#include "qapi/qapi_types_block.h"
#include "util/co_sync.h"

namespace rhea {

class DriveSet;

/// What whoever asks for a removal wants besides.
struct UnplugOptions {
  bool remove_nodes = false;  ///< the block nodes go with the device
  int64_t timeout_ms = 0;     ///< how long the guest has; 0: for ever
};

/// A removal that is under way; belongs to its device.
struct PendingUnplug {
  UnplugState state = UnplugState::kRequested;
  bool remove_nodes = false;
  std::unique_ptr<Timer> timer;
};

/// How far the removal of `device` is; none if nobody has asked for it.
std::optional<UnplugState> unplug_state(const Device& device);

/// Takes devices away, and keeps account of those that are to go. One a machine. Machine lock; events and
/// removals come on the main loop.
class Unplugger {
 public:
  explicit Unplugger(DeviceContext& context) : context_(context) {}

  /// The guest is being told that `device` is to go. Asked again, what was wanted before stays wanted.
  void asked(Device& device, const UnplugOptions& options);
  /// The guest has read that.
  void told(Device& device);
  /// The guest does not let go.
  void refused(Device& device);
  /// The guest has let go. Returns at once; the device goes on the main loop when what it has under way at
  /// its disks has ended.
  void ejected(Device& device);
  /// Takes `device` away, with all that is on its buses: waits for what is under way, releases the drives,
  /// removes the devices, sends DEVICE_DELETED for each, children first, then removes nodes if that is
  /// wanted.
  CoResult<> co_remove(std::shared_ptr<Device> device);
  /// Called when the guest's time is over: it is not to be asked any more.
  std::function<void(Device&)> withdraw;
  /// Called when a device has gone.
  std::function<void()> removed;

  /// Waits until no removal is under way. Main loop.
  CoResult<> co_stop() { return gate_.co_close(); }

 private:
  struct Parts;
  void set_state(Device& device, UnplugState state);
  void time_over(Device& device);
  CoResult<> co_quiet(Device& device, Parts& parts);
  CoResult<> co_remove_nodes(Parts& parts, std::vector<std::string>& removed);

  DeviceContext& context_;
  Gate gate_;
};

}  // namespace rhea
