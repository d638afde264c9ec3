// BlockJob: a job on disks. Which nodes it has to itself, how fast it may go, what it does about failed
// requests.
#pragma once

#include "block/graph/block_backend.h"
#include "block/jobs/job.h"
#include "block/jobs/pivot_witness.h"

namespace rhea {

/// Lets `speed` bytes a second through, in slices of a tenth of a second.
class RateLimit {
 public:
  /// 0: no limit.
  void set_speed(uint64_t bytes_per_second) {
    per_slice_ = bytes_per_second == 0 ? 0 : std::max<uint64_t>(bytes_per_second / 10, 1);
  }
  /// `bytes` were done at `now_ns`; how long to wait before the next.
  int64_t delay_ns(uint64_t bytes, int64_t now_ns);

 private:
  static constexpr int64_t kSliceNs = 100'000'000;
  uint64_t per_slice_ = 0, done_ = 0;
  int64_t slice_start_ns_ = 0, slice_end_ns_ = 0;
};

/// What every job on disks is made with.
struct BlockJobOptions {
  BlockJobOptions() = default;
  JobOptions job;
  uint64_t speed = 0;
  BlockdevOnError on_source_error = BlockdevOnError::kReport;
  BlockdevOnError on_target_error = BlockdevOnError::kReport;
};

/// What a client wants done around the pivot that completing a job makes.
struct PivotArrangement {
  PivotArrangement() = default;
  std::shared_ptr<PivotWitness> witness;  ///< null: nobody writes down what happens
  std::function<CoResult<bool>()> pause;  ///< stops the machine; false if it stood already. Empty: it runs on
  std::function<Result<>()> resume;       ///< after pause() said true
};

/// What has become of such a pivot.
struct PivotOutcome {
  PivotOutcome() = default;
  PivotRecord record;
  int64_t paused_ns = -1;  ///< how long the machine stood; -1: it was not stopped
};

class BlockJob : public Job {
 public:
  BlockJob(JobSet& jobs, JobType type, BlockJobOptions options);
  bool is_block_job() const override { return true; }
  uint64_t speed() const { return speed_; }
  BlockIoStatus io_status() const { return io_status_; }
  /// "Parameter 'speed' expects a non-negative value".
  Result<> set_speed(int64_t bytes_per_second);
  /// Others keep their hands off these nodes.
  void add_node(BlockDriverState& node) { nodes_.emplace_back(node); }
  bool uses(const BlockDriverState& node) const;

  /// The nodes that change places when the job is completed, and its id. "The active block job '%s' cannot be
  /// completed".
  virtual Result<PivotRecord> pivot_plan() const;
  /// Before user_complete(). "Job '%s' is being completed already".
  virtual Result<> arrange_pivot(PivotArrangement arrangement);
  /// Null if no client asked for anything.
  virtual const PivotOutcome* pivot_outcome() const { return nullptr; }

 protected:
  void tell_ready() override;
  void tell_pending() override;
  void tell_end() override;
  void user_resumed() override { io_status_ = BlockIoStatus::kOk; }
  /// Says what is to be done about a failed request, and rests if that is it.
  IoErrorAction error_action(bool is_read, int errnum);
  /// After `bytes` were done: waits as the speed asks for, and rests if somebody wants it to.
  CoResult<> co_pace(uint64_t bytes);
  void forget_nodes() { nodes_.clear(); }

 private:
  uint64_t speed_;
  const BlockdevOnError on_source_error_, on_target_error_;
  BlockIoStatus io_status_ = BlockIoStatus::kOk;
  std::vector<NodeRef> nodes_;
  RateLimit limit_;
};

/// While it lives, whoever drains one of the backends waits; requests may then be made past them. For work
/// that holds a range others' requests wait for: it must not wait at a gate itself meanwhile.
class [[nodiscard]] JobPass {
 public:
  JobPass() = default;
  static CoResult<JobPass> co_enter(BlockBackend& backend);
  static CoResult<JobPass> co_enter(BlockBackend& one, BlockBackend& other);

 private:
  std::vector<RequestGate::Pass> passes_;
};

/// A job's root edge: its requests, and the permissions they need. Lets go of the node when it is done.
class JobBackend {
 public:
  JobBackend() = default;
  JobBackend(JobBackend&&) = default;
  JobBackend& operator=(JobBackend&&) = default;
  static CoResult<JobBackend> co_make(GraphWriteLock& lock, BlockDriverState& node, PermPair perms);
  BlockBackend& operator*() const { return *backend_; }
  BlockBackend* operator->() const { return backend_.get(); }
  explicit operator bool() const { return backend_ != nullptr; }
  /// Takes the node out; requests in flight end first.
  CoResult<> co_release(GraphWriteLock& lock);

 private:
  std::unique_ptr<BlockBackend> backend_;
};

}  // namespace rhea
