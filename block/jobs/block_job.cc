#include "block/jobs/block_job.h"

#include <algorithm>

#include "qapi/qapi_events_job.h"
#include "qapi/visit.h"
#include "util/clock.h"

namespace rhea {

int64_t RateLimit::delay_ns(uint64_t bytes, int64_t now_ns) {
  if (per_slice_ == 0) return 0;
  if (now_ns >= slice_end_ns_) {
    slice_start_ns_ = now_ns;
    slice_end_ns_ = now_ns + kSliceNs;
    done_ = 0;
  }
  done_ += bytes;
  if (done_ < per_slice_) return 0;
  // Where one request is larger than a slice takes, the slice lasts accordingly.
  const double slices = static_cast<double>(done_) / static_cast<double>(per_slice_);
  slice_end_ns_ =
      slice_start_ns_ + static_cast<int64_t>(std::min(slices, 1e8) * static_cast<double>(kSliceNs));
  return slice_end_ns_ - now_ns;
}

BlockJob::BlockJob(JobSet& jobs, JobType type, BlockJobOptions options)
    : Job(jobs, type, std::move(options.job)),
      speed_(options.speed),
      on_source_error_(options.on_source_error),
      on_target_error_(options.on_target_error) {
  limit_.set_speed(speed_);
}

Result<> BlockJob::set_speed(int64_t bytes_per_second) {
  TRY(apply_verb(JobVerb::kSetSpeed));
  if (bytes_per_second < 0) return fail(EINVAL, "Parameter 'speed' expects a non-negative value");
  const uint64_t before = std::exchange(speed_, static_cast<uint64_t>(bytes_per_second));
  limit_.set_speed(speed_);
  if (speed_ == 0 || speed_ > before) wake();  // what it waits for may be over already
  return {};
}

bool BlockJob::uses(const BlockDriverState& node) const {
  return std::ranges::any_of(nodes_, [&](const NodeRef& n) { return n.get() == &node; });
}

Result<PivotRecord> BlockJob::pivot_plan() const {
  return fail(ENOTSUP, "The active block job '", id(), "' cannot be completed");
}

Result<> BlockJob::arrange_pivot(PivotArrangement) {
  return fail(ENOTSUP, "The active block job '", id(), "' cannot be completed");
}

void BlockJob::tell_ready() {
  qapi_event_send_block_job_ready(type(), id(), static_cast<int64_t>(total()),
                                  static_cast<int64_t>(progress()), static_cast<int64_t>(speed_));
}

void BlockJob::tell_pending() {
  qapi_event_send_block_job_pending(type(), id());
}

void BlockJob::tell_end() {
  const auto len = static_cast<int64_t>(total()), offset = static_cast<int64_t>(progress());
  if (is_cancelled()) {
    qapi_event_send_block_job_cancelled(type(), id(), len, offset, static_cast<int64_t>(speed_));
    return;
  }
  std::optional<std::string> error;
  if (!result()) error = result().error().message();
  qapi_event_send_block_job_completed(type(), id(), len, offset, static_cast<int64_t>(speed_), error);
}

IoErrorAction BlockJob::error_action(bool is_read, int errnum) {
  IoErrorAction action = IoErrorAction::kReport;
  switch (is_read ? on_source_error_ : on_target_error_) {
    case BlockdevOnError::kEnospc:
    case BlockdevOnError::kAuto:
      action = errnum == ENOSPC ? IoErrorAction::kStop : IoErrorAction::kReport;
      break;
    case BlockdevOnError::kStop:
      action = IoErrorAction::kStop;
      break;
    case BlockdevOnError::kIgnore:
      action = IoErrorAction::kIgnore;
      break;
    case BlockdevOnError::kReport:
      break;
  }
  const BlockErrorAction shown = action == IoErrorAction::kStop     ? BlockErrorAction::kStop
                                 : action == IoErrorAction::kIgnore ? BlockErrorAction::kIgnore
                                                                    : BlockErrorAction::kReport;
  qapi_event_send_block_job_error(id(), is_read ? IoOperationType::kRead : IoOperationType::kWrite, shown);
  if (action == IoErrorAction::kStop) {
    if (io_status_ == BlockIoStatus::kOk)
      io_status_ = errnum == ENOSPC ? BlockIoStatus::kNospace : BlockIoStatus::kFailed;
    pause_as_user();
  }
  return action;
}

CoResult<> BlockJob::co_pace(uint64_t bytes) {
  co_return co_await co_sleep(limit_.delay_ns(bytes, realtime_clock().now_ns()));
}

CoResult<JobPass> JobPass::co_enter(BlockBackend& backend) {
  JobPass out;
  RequestGate::Pass pass = co_await backend.gate().co_enter();
  out.passes_.push_back(std::move(pass));
  co_return std::move(out);
}

CoResult<JobPass> JobPass::co_enter(BlockBackend& one, BlockBackend& other) {
  for (;;) {
    JobPass out;
    RequestGate::Pass first = co_await one.gate().co_enter();
    if (other.gate().drained()) {  // waiting inside the first would keep whoever drains both
      { const RequestGate::Pass back = std::move(first); }
      const RequestGate::Pass waited = co_await other.gate().co_enter();
      continue;
    }
    RequestGate::Pass second = co_await other.gate().co_enter();
    out.passes_.push_back(std::move(first));
    out.passes_.push_back(std::move(second));
    co_return std::move(out);
  }
}

CoResult<JobBackend> JobBackend::co_make(GraphWriteLock& lock, BlockDriverState& node, PermPair perms) {
  JobBackend out;
  out.backend_ = std::make_unique<BlockBackend>(node.graph(), "", perms);
  co_await or_return(co_await out.backend_->co_insert(lock, node));
  co_return std::move(out);
}

CoResult<> JobBackend::co_release(GraphWriteLock& lock) {
  if (backend_ == nullptr) co_return Result<>();
  Result<> removed = co_await backend_->co_remove(lock);
  backend_.reset();
  co_return removed;
}

}  // namespace rhea
