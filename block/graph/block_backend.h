// BlockBackend: the root edge a device, job, export or -drive holds. What the guest's requests enter by.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "block/graph/accounting.h"
#include "block/graph/block_driver_state.h"
#include "block/graph/request_gate.h"
#include "block/throttle/group.h"
#include "util/aio_context.h"

namespace rhea {

class GraphWriteLock;

/// What a device that holds a BlockBackend answers and is told. Called on the main loop, under the machine
/// lock where one is in use.
class BlockDevOps {
 public:
  virtual ~BlockDevOps() = default;
  /// True if media can be changed: change_media_cb() does something.
  virtual bool has_removable_media() const { return false; }
  /// True if there is a tray: is_tray_open() means something.
  virtual bool has_tray() const { return false; }
  /// A medium is now in the drive (`load`) or about to leave. A device with a tray moves it here, and sends
  /// DEVICE_TRAY_MOVED if that changed it. An error keeps a medium from being loaded.
  virtual Result<> change_media_cb(bool load) {
    (void)load;
    return {};
  }
  /// What the device needs of a medium that is about to be put in, where that depends on it.
  virtual std::optional<PermPair> medium_perms(const BlockDriverState& medium) const {
    (void)medium;
    return std::nullopt;
  }
  /// Somebody asks for the medium; the device tells the guest. `force`: the medium goes in any case.
  virtual void eject_request_cb(bool force) { (void)force; }
  virtual bool is_tray_open() const { return false; }
  virtual bool is_medium_locked() const { return false; }
  /// An eject request the guest has not answered yet.
  virtual bool eject_request_pending() const { return false; }
  virtual void resize_cb() {}
  /// The machine goes on: what a failed request left waiting for that is tried again.
  virtual void machine_resumed() {}
  /// Works for the guest, even if it has no request at the backend just now. Not while it waits for the guest
  /// or for machine_resumed().
  virtual bool is_busy() const { return false; }
  /// Between these the device submits nothing.
  virtual void drained_begin() {}
  virtual void drained_end() {}
  /// Returns when what the device does about its requests that have ended is done, also where that is in
  /// another thread. Between these two.
  virtual void requests_ended() {}
};

enum class BlockErrorPolicy : uint8_t { kReport, kIgnore, kEnospc, kStop, kAuto };
enum class IoErrorAction : uint8_t { kReport, kIgnore, kStop };
/// "report", "ignore", "enospc", "stop" or "auto".
std::string_view error_policy_name(BlockErrorPolicy p);
enum class BlockIoStatus : uint8_t { kOk, kFailed, kNospace };
/// "ok", "failed" or "nospace".
std::string_view io_status_name(BlockIoStatus s);

class BlockBackend {
 public:
  /// Without a medium. `name` is that of -drive id=…, "" for the backends of devices and jobs. Main loop.
  BlockBackend(BlockGraph& graph, std::string name, PermPair perms);
  BlockBackend(const BlockBackend&) = delete;
  ~BlockBackend();

  const std::string& name() const { return name_; }
  /// Gives the name up: nobody finds it any more, though its device goes on with it. Main loop.
  void make_anonymous() { name_.clear(); }
  BlockGraph& graph() const { return graph_; }
  /// The node, null without a medium.
  BlockDriverState* node() const { return root_ ? &root_.node() : nullptr; }
  /// True if there is a medium to read.
  bool is_inserted() const { return root_ && root_.node().is_inserted(); }

  // --- Graph changes. Main loop.
  /// Puts a medium in; the permissions set before apply. Fails if one is in, or with a permission conflict.
  CoResult<> co_insert(GraphWriteLock& lock, BlockDriverState& node);
  /// Takes it out; in-flight requests end first. The node is closed if nobody else holds it.
  CoResult<> co_remove(GraphWriteLock& lock);
  /// Calls `gone` once, when the medium is about to leave or the backend ends; `key` is the listener's own,
  /// and an empty function forgets it.
  void set_removal_listener(const void* key, std::function<void()> gone);
  /// Changes what this user needs and allows; unchanged on failure.
  CoResult<> co_set_perm(GraphWriteLock& lock, PermPair perms);
  PermPair perms() const { return perms_; }

  // --- The device. Main loop.
  /// `id`: qdev id, may be empty; `path`: QOM path. EBUSY if another device has it.
  Result<> attach_device(BlockDevOps* ops, std::string id, std::string path);
  void detach_device();
  bool has_device() const { return device_ != nullptr; }
  BlockDevOps* device() const { return device_; }
  const std::string& attached_device_id() const { return device_id_; }
  const std::string& attached_device_path() const { return device_path_; }
  /// The qdev id, or the QOM path of a device that has none, or "".
  const std::string& device_id_or_path() const { return device_id_.empty() ? device_path_ : device_id_; }
  /// True if media may change: the device says so, or there is none.
  bool has_removable_media() const { return device_ == nullptr || device_->has_removable_media(); }
  bool has_tray() const { return device_ != nullptr && device_->has_tray(); }
  bool is_tray_open() const { return has_tray() && device_->is_tray_open(); }
  bool is_medium_locked() const { return device_ != nullptr && device_->is_medium_locked(); }
  /// Tells the device and its users' queries about a medium that came or is about to go.
  Result<> change_media_cb(bool load);
  void eject_request(bool force);

  /// How far the removal of its device is, by the name queries show; "" if nobody has asked for it.
  /// `pending`: the guest is asked and has not answered, or the device is on its way out.
  struct Unplug {
    std::string_view state;
    bool pending = false;
    bool drive_goes_too = false;  ///< drive_del has come; the drive goes with the device
  };
  Unplug unplug;

  // --- Requests. Any thread. One that runs a loop goes on there. One that runs none has them made by the
  // main loop, and goes on there, or on its own thread if the request ended before it had time to suspend.
  CoResult<> co_preadv(ByteRange range, IoVector iov);
  /// A read that the device model makes for itself: neither limited nor counted.
  CoResult<> co_peek(ByteRange range, IoVector iov);
  CoResult<> co_pwritev(ByteRange range, IoVector iov);
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap);
  CoResult<> co_pdiscard(ByteRange range);
  CoResult<> co_flush();
  /// Whole units of the image's own size, packed (ENOTSUP where the format cannot).
  CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov);
  /// Main loop.
  CoResult<BlockStatus> co_block_status(ByteRange range);
  /// A new length; main loop. ENOTSUP where the image or its storage cannot.
  CoResult<> co_truncate(uint64_t bytes, Preallocation how = Preallocation::kOff);
  /// Bytes; ENOMEDIUM without a medium.
  Result<uint64_t> getlength() const;
  /// Waits until this backend's requests have ended; new ones wait meanwhile.
  CoResult<> co_drain();
  RequestGate& gate() { return *gate_; }
  std::shared_ptr<RequestGate> shared_gate() const { return gate_; }

  // --- Settings and state of the drive. Main loop, reading on any thread.
  /// Without write-back a write completes when it is durable.
  bool write_cache_enabled() const { return write_cache_.load(std::memory_order_relaxed); }
  void set_write_cache_enabled(bool on) { write_cache_.store(on, std::memory_order_relaxed); }
  void set_error_policy(BlockErrorPolicy on_read, BlockErrorPolicy on_write) {
    on_read_error_ = on_read;
    on_write_error_ = on_write;
  }
  BlockErrorPolicy on_read_error() const { return on_read_error_; }
  BlockErrorPolicy on_write_error() const { return on_write_error_; }
  IoErrorAction error_action(bool is_read, int errnum) const;
  /// The device model reports I/O status.
  void enable_iostatus() { iostatus_enabled_ = true; }
  bool iostatus_enabled() const;
  BlockIoStatus iostatus() const { return iostatus_; }
  void set_iostatus_error(int errnum);
  void reset_iostatus() { iostatus_ = BlockIoStatus::kOk; }
  /// Whether a medium put in by blockdev-change-medium is read-only where nobody says: as the last one was.
  bool read_only_default() const { return read_only_default_; }
  void set_read_only_default(bool on) { read_only_default_ = on; }
  BlockAccounting& accounting() { return accounting_; }
  /// The limits of its reads and writes. Joining and leaving a group: in a drained section.
  ThrottleMember& throttle() { return throttle_; }

 private:
  friend class BlockGraph;
  friend class DrainedSection;
  friend class UndelayedRequests;
  class Timed;
  class Detour;
  void choose_loop();
  Result<BlockDriverState*> usable_node();
  Result<BlockDriverState*> node_to_read(ByteRange range);
  void tell_removal();

  BlockGraph& graph_;
  std::string name_;
  const uint64_t serial_;  ///< unique among the graph's backends, ever
  BdrvChild root_;
  PermPair perms_;
  std::shared_ptr<RequestGate> gate_;
  std::vector<std::pair<const void*, std::function<void()>>> removal_listeners_;
  BlockDevOps* device_ = nullptr;
  std::string device_id_, device_path_;
  int drained_ = 0;
  bool main_loop_only_ = false;  ///< changes in drained sections only
  std::atomic<bool> write_cache_{true};
  BlockErrorPolicy on_read_error_ = BlockErrorPolicy::kReport;
  BlockErrorPolicy on_write_error_ = BlockErrorPolicy::kEnospc;
  bool iostatus_enabled_ = false;
  bool read_only_default_ = true;
  BlockIoStatus iostatus_ = BlockIoStatus::kOk;
  BlockAccounting accounting_;
  ThrottleMember throttle_;
};

}  // namespace rhea
