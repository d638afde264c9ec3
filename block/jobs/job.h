// Job: long work in the background. Its life: created, running, (ready,) waiting, pending, concluded, gone;
// or aborting on the way. JobTransaction: jobs that succeed together or not at all. JobSet: all jobs there
// are.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "block/graph/block_graph.h"
#include "qapi/qapi_types_job.h"
#include "util/co_sync.h"

namespace rhea {

class JobSet;
class JobTransaction;

/// What every job is made with.
struct JobOptions {
  JobOptions() = default;
  std::string id;
  bool auto_finalize = true;
  bool auto_dismiss = true;
  std::shared_ptr<JobTransaction> transaction;  ///< null: one of its own
};

/// One job. Everything happens on the main loop.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(JobSet& jobs, JobType type, JobOptions options);
  Job(const Job&) = delete;
  virtual ~Job();

  const std::string& id() const { return id_; }
  JobType type() const { return type_; }
  JobStatus status() const { return status_; }
  bool is_ready() const { return status_ == JobStatus::kReady || status_ == JobStatus::kStandby; }
  bool auto_finalize() const { return auto_finalize_; }
  bool auto_dismiss() const { return auto_dismiss_; }
  /// Units of the job's own, bytes for those on disks.
  uint64_t progress() const { return progress_; }
  uint64_t total() const { return total_; }
  /// Whether its coroutine runs or waits for storage; not while it sleeps or rests.
  bool busy() const { return busy_; }
  bool paused() const { return pause_count_ > 0; }
  bool user_paused() const { return user_paused_; }
  /// Why it has failed; a success while it has not.
  const Result<>& result() const { return result_; }
  /// True if it is to end at once, without success.
  bool is_cancelled() const { return cancelled_ && force_cancel_; }
  bool cancel_requested() const { return cancelled_; }
  /// Jobs on disks are shown by query-block-jobs too.
  virtual bool is_block_job() const { return false; }

  // --- Verbs, as clients use them. "Job '%s' in state '%s' cannot accept command verb '%s'".
  Result<> user_pause();
  Result<> user_resume();
  Result<> user_cancel(bool force);
  Result<> user_complete();
  Result<> user_finalize();
  Result<> user_dismiss();
  Result<> apply_verb(JobVerb verb) const;
  /// Waits until its transaction has settled: it is concluded or gone then.
  CoResult<> co_settled();

  // --- For whoever stops it for a while without a client's asking.
  void pause();
  void resume();
  /// Lets the job's coroutine look at its state again, if it sleeps.
  void wake();

 protected:
  friend class JobSet;
  friend class JobTransaction;
  // --- The work. Main loop; each may wait.
  /// The work itself. With is_cancelled() it ends soon.
  virtual CoResult<> co_run() = 0;
  /// All of the transaction have succeeded: what can still fail (the pivot).
  virtual CoResult<> co_prepare();
  /// Afterwards: it has succeeded, or not; then, in both cases, what it held is let go of.
  virtual CoResult<> co_commit();
  virtual CoResult<> co_abort();
  virtual CoResult<> co_clean();
  /// A client wants it to end. Returns whether that means at once.
  virtual bool cancel_requested(bool force) {
    (void)force;
    return true;
  }
  /// "The active block job '%s' cannot be completed".
  virtual Result<> complete();
  virtual void user_resumed() {}
  /// Events beside JOB_STATUS_CHANGE.
  virtual void tell_ready() {}
  virtual void tell_pending() {}
  virtual void tell_end() {}

  /// Rests here as long as somebody wants it to.
  CoResult<> co_pause_point();
  /// Waits `ns` of real time (0: lets others run), less if woken, then co_pause_point().
  CoResult<> co_sleep(int64_t ns);
  /// It could end successfully from now on.
  void become_ready();
  /// Rests until woken; for ready jobs with nothing to do.
  CoResult<> co_wait_for_wake();
  void set_progress(uint64_t done, uint64_t total) { progress_ = done, total_ = total; }
  void add_progress(uint64_t done) { progress_ += done; }
  void set_total(uint64_t total) { total_ = total; }
  void pause_as_user();
  void set_error(Error error) { result_ = Failure(std::move(error)); }
  JobSet& jobs() const { return jobs_; }

 private:
  void change_status(JobStatus to);
  void leave_rest();
  void cancel_async(bool force);
  void begin();
  CoResult<> co_main();
  void work_ended(Result<> result);
  void update_result();
  CoResult<> co_finalize_single();
  void conclude();
  void dismiss();

  JobSet& jobs_;
  const std::string id_;
  const JobType type_;
  JobStatus status_ = JobStatus::kUndefined;
  const bool auto_finalize_, auto_dismiss_;
  std::shared_ptr<JobTransaction> transaction_;
  uint64_t progress_ = 0, total_ = 0;
  Result<> result_;
  int pause_count_ = 0;
  bool started_ = false, work_ended_ = false, busy_ = false, user_paused_ = false, cancelled_ = false,
       force_cancel_ = false, woken_ = false;
  CoQueue sleeping_, resting_, settled_;
  std::unique_ptr<Timer> alarm_;
};

/// Jobs that end together. Main loop.
class JobTransaction : public std::enable_shared_from_this<JobTransaction> {
 public:
  explicit JobTransaction(JobSet& jobs) : jobs_(jobs) {}

 private:
  friend class Job;
  friend class JobSet;
  void job_succeeded(Job& job);
  void job_failed(Job& job);
  void finalize();
  CoResult<> co_prepare_all();
  CoResult<> co_finalize_all();
  CoResult<> co_abort_all();
  CoResult<> co_finalize_each();

  JobSet& jobs_;
  std::vector<std::shared_ptr<Job>> members_;
  bool aborting_ = false, finalizing_ = false, settled_ = false;
  CoQueue ended_;
};

/// The name of the drive `node` is in, which is the job's id where none is given; "" if it is in none.
std::string drive_name(const BlockDriverState& node);
/// The same, or the node's own name: how messages call it.
std::string drive_or_node_name(const BlockDriverState& node);

class JobSet {
 public:
  explicit JobSet(BlockGraph& graph) : graph_(graph) {}
  JobSet(const JobSet&) = delete;
  BlockGraph& graph() const { return graph_; }

  /// "Invalid job ID '%s'", "Job ID '%s' already in use", "An explicit job ID is required".
  Result<> check_id(const std::string& id) const;
  /// The job is there from now on (JOB_STATUS_CHANGE: created), and works once it is started.
  void add(std::shared_ptr<Job> job);
  void start(Job& job);
  /// A job that was never started goes again, without a trace but its events.
  void discard(Job& job);
  /// Null if there is none.
  Job* find(const std::string& id) const;
  /// Newest first.
  const std::vector<std::shared_ptr<Job>>& all() const { return jobs_; }
  /// "Node '%s' is busy: block device is in use by block job: %s" if a job has the node to itself.
  Result<> check_free(const BlockDriverState& node) const;

  /// Cancels everything and waits for it; before the graph is shut down.
  CoResult<> co_stop();

 private:
  friend class Job;
  friend class JobTransaction;
  void spawn(CoResult<> work);
  void remove(Job& job);
  BlockGraph& graph_;
  std::vector<std::shared_ptr<Job>> jobs_;
  Gate gate_;
};

}  // namespace rhea
