// Rules of a blkdebug node: which events and requests fail, wait or change its state.
#pragma once

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "block/graph/options.h"
#include "block/graph/types.h"
#include "util/co_sync.h"

namespace rhea {

/// True for the name of an event that a block driver or the generic layer may report.
bool is_debug_event(std::string_view name);

struct BlkdebugRule {
  enum class Action : uint8_t { kInjectError, kSetState };
  enum Request : uint8_t {
    kRead = 1,
    kWrite = 2,
    kWriteZeroes = 4,
    kDiscard = 8,
    kFlush = 16,
    kBlockStatus = 32
  };
  Action action = Action::kInjectError;
  std::string event;
  int64_t state = 0;  ///< only in this state; 0: in each
  // kInjectError
  uint8_t requests = kRead | kWrite | kWriteZeroes | kDiscard | kFlush;
  int errnum = EIO;
  std::optional<uint64_t> sector;  ///< only requests over this one
  bool once = false;               ///< fails one request and no more
  bool spent = false;              ///< has done so
  bool immediately = false;        ///< before the loop has run once more
  // kSetState
  int64_t new_state = 0;
};

/// All rules of a node, its state, and the requests that wait at a breakpoint. Any thread.
class BlkdebugRules {
 public:
  /// A file of sections "[inject-error]" and "[set-state]" with lines `key = "value"`.
  Result<> read_file(const std::string& path);
  /// The options "inject-error.0.event" …, consumed.
  Result<> take_options(OptionTree& options);

  /// Something happened: rules take effect; at a breakpoint it waits until resumed.
  CoResult<> co_event(std::string_view event);
  /// Fails if an error is injected into such a request.
  CoResult<> co_check(BlkdebugRule::Request request, ByteRange range);

  Result<> add_break(std::string_view event, std::string_view tag);
  /// Removes breakpoints called `tag` and lets go what waits there. ENOENT if there is neither.
  Result<> remove_break(std::string_view tag);
  /// Lets one request that waits there go on.
  Result<> resume(std::string_view tag);
  bool is_suspended(std::string_view tag);
  /// Told of requests that stop at a breakpoint and go on; for programs that show it. Set before any thread.
  static inline void (*on_break)(bool suspended, const std::string& tag) = nullptr;

 private:
  struct Break {
    std::string event, tag;
  };
  struct Suspended {
    std::string tag;
    bool released = false;
    CoQueue queue;
  };
  Result<> add(BlkdebugRule::Action action, OptionTree options);
  std::vector<std::shared_ptr<Suspended>> apply(std::string_view event);

  std::mutex mutex_;  // guards what follows
  std::vector<BlkdebugRule> rules_;
  std::vector<size_t> active_;  ///< injections that wait for their request
  int64_t state_ = 1;
  std::vector<Break> breaks_;
  std::vector<std::shared_ptr<Suspended>> suspended_;
};

}  // namespace rhea
