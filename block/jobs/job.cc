#include "block/jobs/job.h"

#include <algorithm>

#include "block/jobs/block_job.h"
#include "qapi/qapi_events_job.h"
#include "qapi/visit.h"
#include "util/clock.h"

namespace rhea {

namespace {

constexpr uint32_t bit(JobStatus s) {
  return 1u << static_cast<unsigned>(s);
}

/// In which states a verb is taken.
uint32_t job_verb_states(JobVerb verb) {
  using enum JobStatus;
  const uint32_t working = bit(kCreated) | bit(kRunning) | bit(kPaused) | bit(kReady) | bit(kStandby);
  switch (verb) {
    case JobVerb::kCancel:
      return working | bit(kWaiting) | bit(kPending);
    case JobVerb::kPause:
    case JobVerb::kResume:
    case JobVerb::kSetSpeed:
      return working;
    case JobVerb::kComplete:
      return bit(kReady) | bit(kStandby);
    case JobVerb::kFinalize:
      return bit(kPending);
    case JobVerb::kDismiss:
      return bit(kConcluded);
  }
  return 0;
}

}  // namespace

Job::Job(JobSet& jobs, JobType type, JobOptions options)
    : jobs_(jobs),
      id_(std::move(options.id)),
      type_(type),
      auto_finalize_(options.auto_finalize),
      auto_dismiss_(options.auto_dismiss),
      transaction_(std::move(options.transaction)) {}

Job::~Job() = default;

CoResult<> Job::co_prepare() {
  co_return Result<>();
}
CoResult<> Job::co_commit() {
  co_return Result<>();
}
CoResult<> Job::co_abort() {
  co_return Result<>();
}
CoResult<> Job::co_clean() {
  co_return Result<>();
}
Result<> Job::complete() {
  return fail(ENOTSUP, "The active block job '", id_, "' cannot be completed");
}

void Job::change_status(JobStatus to) {
  if (status_ == to) return;
  status_ = to;
  qapi_event_send_job_status_change(id_, to);
}

Result<> Job::apply_verb(JobVerb verb) const {
  if ((job_verb_states(verb) & bit(status_)) != 0) return {};
  return fail(EPERM, "Job '", id_, "' in state '", to_string(status_), "' cannot accept command verb '",
              to_string(verb), "'");
}

Result<> Job::user_pause() {
  TRY(apply_verb(JobVerb::kPause));
  if (user_paused_) return fail(EPERM, "Job is already paused");
  pause_as_user();
  return {};
}

void Job::pause_as_user() {
  if (user_paused_) return;
  user_paused_ = true;
  pause();
}

void Job::pause() {
  ++pause_count_;
  if (!paused()) return;
  wake();
}

void Job::resume() {
  if (--pause_count_ != 0) return;
  leave_rest();  // said at once, though it goes on a little later: the client sees it before the reply
  resting_.wake_all();
}

void Job::leave_rest() {
  if (status_ == JobStatus::kStandby) change_status(JobStatus::kReady);
  if (status_ == JobStatus::kPaused) change_status(JobStatus::kRunning);
}

Result<> Job::user_resume() {
  if (!user_paused_ || pause_count_ <= 0) return fail(EPERM, "Can't resume a job that was not paused");
  TRY(apply_verb(JobVerb::kResume));
  user_resumed();
  user_paused_ = false;
  resume();
  return {};
}

Result<> Job::user_complete() {
  TRY(apply_verb(JobVerb::kComplete));
  if (cancel_requested()) return Job::complete();
  return complete();
}

Result<> Job::user_finalize() {
  TRY(apply_verb(JobVerb::kFinalize));
  transaction_->finalize();
  return {};
}

Result<> Job::user_dismiss() {
  TRY(apply_verb(JobVerb::kDismiss));
  dismiss();
  return {};
}

Result<> Job::user_cancel(bool force) {
  TRY(apply_verb(JobVerb::kCancel));
  if (transaction_ == nullptr || transaction_->settled_) return {};  // too late: it is being finalized
  const std::shared_ptr<Job> keep = shared_from_this();
  cancel_async(force);
  if (!started_)
    work_ended(Result<>());
  else if (work_ended_ && force_cancel_)
    transaction_->job_failed(*this);
  return {};
}

void Job::cancel_async(bool force) {
  force = cancel_requested(force);
  if (user_paused_) {
    user_resumed();
    user_paused_ = false;
    resume();
  }
  // Work that has ended is not undone by a request that leaves success possible.
  if (!force && work_ended_) return;
  cancelled_ = true;
  force_cancel_ = force_cancel_ || force;
  if (force_cancel_) resting_.wake_all();
  wake();
}

void Job::wake() {
  woken_ = true;
  if (alarm_ != nullptr) alarm_->cancel();
  sleeping_.wake_all();
}

CoResult<> Job::co_pause_point() {
  while (pause_count_ > 0 && !is_cancelled()) {
    const JobStatus before = status_;
    if (before != JobStatus::kPaused && before != JobStatus::kStandby)
      change_status(before == JobStatus::kReady ? JobStatus::kStandby : JobStatus::kPaused);
    busy_ = false;
    co_await resting_.co_wait();
    busy_ = true;
    if (pause_count_ > 0 && !is_cancelled()) continue;
    leave_rest();
  }
  co_return Result<>();
}

CoResult<> Job::co_sleep(int64_t ns) {
  if (ns <= 0) {
    co_await jobs_.graph().main_loop().co_yield_now();
  } else if (!woken_ && !is_cancelled()) {
    alarm_ = std::make_unique<Timer>(jobs_.graph().main_loop(), realtime_clock(),
                                     [this] { sleeping_.wake_all(); });
    alarm_->arm_in(ns);
    busy_ = false;
    co_await sleeping_.co_wait();
    busy_ = true;
    alarm_.reset();
  }
  woken_ = false;
  co_return co_await co_pause_point();
}

CoResult<> Job::co_wait_for_wake() {
  if (!woken_ && !is_cancelled()) {
    busy_ = false;
    co_await sleeping_.co_wait();
    busy_ = true;
  }
  woken_ = false;
  co_return co_await co_pause_point();
}

void Job::become_ready() {
  change_status(JobStatus::kReady);
  tell_ready();
}

void Job::begin() {
  started_ = true;
  change_status(JobStatus::kRunning);
  jobs_.spawn(co_main());
}

CoResult<> Job::co_main() {
  const std::shared_ptr<Job> keep = shared_from_this();
  // The reply of the command that started it goes out first.
  co_await jobs_.graph().main_loop().co_yield_now();
  busy_ = true;
  Result<> done;
  if (Result<> r = co_await co_pause_point(); !r) done = std::move(r);
  if (done && !is_cancelled()) done = co_await co_run();
  busy_ = false;
  work_ended(std::move(done));
  co_return Result<>();
}

void Job::update_result() {
  if (result_ && is_cancelled()) result_ = Failure(Error(ECANCELED, errno_text(ECANCELED)));
  if (!result_) change_status(JobStatus::kAborting);
}

void Job::work_ended(Result<> result) {
  work_ended_ = true;
  // Of a failed request clients get the system's text, which they compare.
  if (!result && is_block_job()) {
    const int errnum = result.error().errnum();
    result = Failure(Error(errnum, errno_text(errnum)));
  }
  if (result_) result_ = std::move(result);
  update_result();
  if (result_)
    transaction_->job_succeeded(*this);
  else
    transaction_->job_failed(*this);
}

CoResult<> Job::co_finalize_single() {
  const std::shared_ptr<Job> keep = shared_from_this();
  update_result();
  if (result_)
    std::ignore = co_await co_commit();
  else
    std::ignore = co_await co_abort();
  std::ignore = co_await co_clean();
  if (started_) tell_end();
  transaction_.reset();
  conclude();
  settled_.wake_all();
  co_return Result<>();
}

CoResult<> Job::co_settled() {
  const std::shared_ptr<Job> keep = shared_from_this();
  while (transaction_ != nullptr) co_await settled_.co_wait();
  co_return Result<>();
}

void Job::conclude() {
  change_status(JobStatus::kConcluded);
  if (auto_dismiss_ || !started_) dismiss();
}

void Job::dismiss() {
  const std::shared_ptr<Job> keep = shared_from_this();
  change_status(JobStatus::kNull);
  jobs_.remove(*this);
}

void JobTransaction::job_succeeded(Job& job) {
  job.change_status(JobStatus::kWaiting);
  ended_.wake_all();
  if (aborting_) return;
  if (std::ranges::all_of(members_, [](const auto& j) { return j->work_ended_; }))
    jobs_.spawn(co_prepare_all());
}

CoResult<> JobTransaction::co_prepare_all() {
  const auto keep = shared_from_this();
  bool wait_for_client = false;
  const std::vector<std::shared_ptr<Job>> members = members_;
  for (const auto& job : members) {
    if (aborting_) co_return Result<>();
    job->change_status(JobStatus::kPending);
    if (job->auto_finalize()) continue;
    wait_for_client = true;
    job->tell_pending();
  }
  if (!wait_for_client) co_return co_await co_finalize_all();
  co_return Result<>();
}

void JobTransaction::finalize() {
  jobs_.spawn(co_finalize_all());
}

CoResult<> JobTransaction::co_finalize_all() {
  const auto keep = shared_from_this();
  if (aborting_ || finalizing_) co_return Result<>();
  finalizing_ = true;
  const std::vector<std::shared_ptr<Job>> members = members_;
  for (const auto& job : members) {
    Result<> ready = co_await job->co_prepare();
    if (ready && !aborting_) continue;
    if (!ready) {
      job->result_ = std::move(ready);
      job->update_result();
    }
    finalizing_ = false;
    ended_.wake_all();
    job_failed(*job);
    co_return Result<>();
  }
  co_return co_await co_finalize_each();
}

CoResult<> JobTransaction::co_finalize_each() {
  const std::vector<std::shared_ptr<Job>> members = std::move(members_);
  members_.clear();
  settled_ = true;
  for (const auto& job : members) std::ignore = co_await job->co_finalize_single();
  co_return Result<>();
}

void JobTransaction::job_failed(Job& job) {
  ended_.wake_all();
  if (aborting_) return;
  aborting_ = true;
  for (const auto& other : members_) {
    if (other.get() == &job) continue;
    other->cancel_async(true);
    if (!other->started_) other->work_ended_ = true;
  }
  jobs_.spawn(co_abort_all());
}

CoResult<> JobTransaction::co_abort_all() {
  const auto keep = shared_from_this();
  while (finalizing_ || !std::ranges::all_of(members_, [](const auto& j) { return j->work_ended_; }))
    co_await ended_.co_wait();
  co_return co_await co_finalize_each();
}

Result<> JobSet::check_id(const std::string& id) const {
  if (id.empty()) return fail(EINVAL, "Invalid job ID ''");
  if (!is_well_formed_id(id)) return fail(EINVAL, "Invalid job ID '", id, "'");
  if (find(id) != nullptr) return fail(EEXIST, "Job ID '", id, "' already in use");
  return {};
}

void JobSet::add(std::shared_ptr<Job> job) {
  if (job->transaction_ == nullptr) job->transaction_ = std::make_shared<JobTransaction>(*this);
  job->transaction_->members_.push_back(job);
  jobs_.insert(jobs_.begin(), job);
  job->change_status(JobStatus::kCreated);
}

void JobSet::start(Job& job) {
  job.begin();
}

void JobSet::discard(Job& job) {
  const std::shared_ptr<Job> keep = job.shared_from_this();
  std::erase(job.transaction_->members_, keep);
  job.transaction_.reset();
  job.result_ = Failure(Error(ECANCELED, errno_text(ECANCELED)));
  job.change_status(JobStatus::kAborting);
  job.conclude();
}

Job* JobSet::find(const std::string& id) const {
  auto it = std::ranges::find_if(jobs_, [&](const auto& j) { return j->id() == id; });
  return it == jobs_.end() ? nullptr : it->get();
}

std::string drive_name(const BlockDriverState& node) {
  for (const BlockEdge* e : node.parents()) {
    if (e->parent_backend != nullptr && !e->parent_backend->name().empty()) return e->parent_backend->name();
    if (e->parent_node != nullptr && e->parent_node->implicit()) return drive_name(*e->parent_node);
  }
  return {};
}

std::string drive_or_node_name(const BlockDriverState& node) {
  std::string drive = drive_name(node);
  return drive.empty() ? node.name() : drive;
}

Result<> JobSet::check_free(const BlockDriverState& node) const {
  for (const auto& job : jobs_) {
    const auto* on_disk = dynamic_cast<const BlockJob*>(job.get());
    if (on_disk == nullptr || !on_disk->uses(node)) continue;
    return fail(EBUSY, "Node '", drive_or_node_name(node),
                "' is busy: block device is in use by block job: ", to_string(job->type()));
  }
  return {};
}

void JobSet::spawn(CoResult<> work) {
  gate_.spawn<void>(std::move(work));
}

void JobSet::remove(Job& job) {
  std::erase_if(jobs_, [&](const auto& j) { return j.get() == &job; });
}

CoResult<> JobSet::co_stop() {
  const std::vector<std::shared_ptr<Job>> all = jobs_;
  for (const auto& job : all) std::ignore = job->user_cancel(true);  // one that has ended takes no verb
  co_await or_return(co_await gate_.co_close());
  jobs_.clear();
  co_return Result<>();
}

}  // namespace rhea
