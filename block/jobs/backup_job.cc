#include "block/jobs/backup_job.h"

#include <algorithm>

#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "block/jobs/copy_range.h"
#include "block/jobs/job_filter.h"

namespace rhea {

namespace {

constexpr uint64_t kBackupPart = 1u << 20;

/// Above the source: copies what is about to be overwritten, if it was not copied yet.
class CopyBeforeWrite final : public JobFilter {
 public:
  PermPair child_perms(const BlockEdge& child, PermPair cumulative) const override {
    using namespace blk_perm;
    if ((child.role & child_role::kFiltered) == 0) return {kWrite, kAll};  // the target
    PermPair p = cumulative;
    if ((p.perm & (kWrite | kResize)) != 0) p.perm |= kConsistentRead;
    return p;
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    co_await or_return(co_await co_copy_before(range));
    co_return co_await backing_.co_pwritev(range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    co_await or_return(co_await co_copy_before(range));
    co_return co_await backing_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    co_await or_return(co_await co_copy_before(range));
    co_return co_await backing_.co_pdiscard(range);
  }
  /// Copies what of `range` was not copied. The job comes through here too.
  CoResult<> co_copy(ByteRange range, CopyFailure& failure, uint64_t& copied) {
    const uint64_t g = to_copy->granularity();
    const uint64_t first = range.offset / g * g, last = (range.end() + g - 1) / g * g;
    const ByteRange units(first, last - first);
    const RangeLock::Guard guard = co_await or_return(co_await copying_.co_acquire(units, true));
    while (const auto area = to_copy->next_area(units.offset, units.end(), kBackupPart)) {
      to_copy->clear(*area);
      const CopyEnd from{&backing_.node()}, to{target_node};
      Result<> done = co_await co_copy_range(from, to, *area, true, failure);
      if (!done) to_copy->set(*area);
      co_await or_return(std::move(done));
      copied += area->bytes;
    }
    co_return Result<>();
  }
  std::shared_ptr<DirtyBitmap> to_copy;
  BlockDriverState* target_node = nullptr;
  uint64_t copied_for_guests = 0;
  bool active = false;

 private:
  CoResult<> co_copy_before(ByteRange range) {
    if (!active) co_return Result<>();
    CopyFailure failure;
    uint64_t copied = 0;
    Result<> done = co_await co_copy(range, failure, copied);
    copied_for_guests += copied;
    co_return done;
  }
  RangeLock copying_;
};

const BlockDriver kCopyBeforeWriteDriver = {
    .name = "copy-before-write",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<CopyBeforeWrite>(); },
};

}  // namespace

class BackupJob final : public BlockJob {
 public:
  BackupJob(JobSet& jobs, NodeRef source, NodeRef target, BackupOptions options)
      : BlockJob(jobs, JobType::kBackup, options.block),
        options_(std::move(options)),
        source_(std::move(source)),
        target_(std::move(target)) {}
  CoResult<> co_set_up(GraphWriteLock& lock);
  CoResult<> co_take_down(GraphWriteLock& lock);

 private:
  CoResult<> co_run() override;
  CoResult<> co_commit() override { return co_settle_bitmap(true); }
  CoResult<> co_abort() override { return co_settle_bitmap(false); }
  CoResult<> co_clean() override;
  CoResult<> co_settle_bitmap(bool success);
  CoResult<> co_leave_out_unallocated();
  CoResult<> co_copy_next(uint64_t& at);
  CopyBeforeWrite& top() const { return static_cast<CopyBeforeWrite&>(*filter_); }
  void show_progress();

  const BackupOptions options_;
  NodeRef source_, target_, filter_;
  JobBackend reading_, writing_;
  bool in_graph_ = false, frozen_ = false;
  uint64_t done_ = 0;
};

CoResult<> BackupJob::co_set_up(GraphWriteLock& lock) {
  BlockGraph& graph = jobs().graph();
  const Result<ImageDetails> details = co_await skip_filters(*target_).co_details();
  const uint64_t granularity = std::clamp<uint64_t>(details ? details->cluster_bytes : 0, 65536, 1u << 26);
  OpenFlags flags = source_->flags();
  flags.read_only = flags.auto_read_only = false;
  filter_ =
      co_await or_return(make_filter_node(lock, graph, kCopyBeforeWriteDriver, options_.filter_name, flags));
  if (options_.filter_name.empty()) filter_->set_implicit();
  top().to_copy = co_await or_return(DirtyBitmap::create({}, source_->total_bytes(), granularity));
  top().target_node = target_.get();
  if (options_.sync == BackupOptions::Sync::kBitmap)
    top().to_copy->merge(*options_.bitmap);
  else
    top().to_copy->set_all();
  Result<> done = co_await co_insert_filter(lock, *filter_, *source_, "backing");
  if (done) {
    in_graph_ = true;
    using namespace blk_perm;
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *filter_));
    GraphEdit edit(graph);
    edit.attach(*filter_, *target_, "target", child_role::kData);
    done = co_await edit.co_commit(lock);
    const PermPair write{kWrite, kConsistentRead | kWriteUnchanged | kWrite},
        read{kConsistentRead, kAll & ~kResize};
    if (done) {
      Result<JobBackend> writing = co_await JobBackend::co_make(lock, *target_, write);
      if (writing)
        writing_ = std::move(*writing);
      else
        done = Failure(std::move(writing).error());
    }
    if (done) {
      Result<JobBackend> reading = co_await JobBackend::co_make(lock, *filter_, read);
      if (reading)
        reading_ = std::move(*reading);
      else
        done = Failure(std::move(reading).error());
    }
    if (done && options_.bitmap) {
      done = options_.bitmap->freeze();
      frozen_ = done.has_value();
    }
    if (done) top().active = true;
  }
  if (!done) {
    std::ignore = co_await co_take_down(lock);
    co_return done;
  }
  add_node(*filter_);
  add_node(*source_);
  add_node(*target_);
  co_return Result<>();
}

CoResult<> BackupJob::co_take_down(GraphWriteLock& lock) {
  if (filter_) top().active = false;
  if (frozen_) {
    const DrainedSection drained = co_await or_return(co_await jobs().graph().co_drain(lock, *source_));
    options_.bitmap->thaw(true);
  }
  frozen_ = false;
  std::ignore = co_await reading_.co_release(lock);
  std::ignore = co_await writing_.co_release(lock);
  if (in_graph_) std::ignore = co_await co_remove_filter(lock, *filter_);
  in_graph_ = false;
  co_return Result<>();
}

void BackupJob::show_progress() {
  const uint64_t done = done_ + top().copied_for_guests;
  set_progress(done, done + top().to_copy->dirty_bytes());
}

/// sync=top: what lies below is not copied.
CoResult<> BackupJob::co_leave_out_unallocated() {
  BlockDriverState* base = cow_child(skip_filters(*source_));
  if (base == nullptr) co_return Result<>();
  const uint64_t end = source_->total_bytes(), g = top().to_copy->granularity();
  for (uint64_t at = 0; at < end && !is_cancelled();) {
    const ByteRange rest(at, end - at);
    BlockStatus s;
    {
      const JobPass pass = co_await or_return(co_await JobPass::co_enter(*reading_));
      s = co_await or_return(co_await co_status_above(*source_, base, false, rest));
    }
    if (s.bytes == 0) break;
    const uint64_t last = at + s.bytes == end ? end : (at + s.bytes) / g * g;
    const uint64_t first = (at + g - 1) / g * g;
    if (!s.allocated && first < last) top().to_copy->clear({first, last - first});
    at += s.bytes;
    co_await or_return(co_await co_sleep(0));
  }
  co_return Result<>();
}

CoResult<> BackupJob::co_copy_next(uint64_t& at) {
  const uint64_t end = top().to_copy->bytes();
  auto area = top().to_copy->next_area(at, end, kBackupPart);
  if (!area) area = top().to_copy->next_area(0, end, kBackupPart);
  if (!area) co_return Result<>();
  CopyFailure failure;
  uint64_t copied = 0;
  Result<> done;
  {
    const JobPass pass = co_await or_return(co_await JobPass::co_enter(*reading_, *writing_));
    done = co_await top().co_copy(*area, failure, copied);
  }
  done_ += copied;
  at = area->end();
  show_progress();
  if (done) co_return co_await co_pace(copied);
  if (error_action(failure.reading, failure.errnum) == IoErrorAction::kReport) co_return done;
  co_return co_await co_sleep(0);
}

CoResult<> BackupJob::co_run() {
  show_progress();
  if (options_.sync == BackupOptions::Sync::kNone) {
    while (!is_cancelled()) co_await or_return(co_await co_wait_for_wake());
    co_return Result<>();
  }
  if (options_.sync == BackupOptions::Sync::kTop) co_await or_return(co_await co_leave_out_unallocated());
  uint64_t at = 0;
  show_progress();
  while (!is_cancelled() && top().to_copy->next_dirty(0)) co_await or_return(co_await co_copy_next(at));
  show_progress();
  if (is_cancelled()) co_return Result<>();
  co_return co_await writing_->co_flush();
}

/// After a success the bitmap has what was written since the start; else what was not copied too.
CoResult<> BackupJob::co_settle_bitmap(bool success) {
  if (!frozen_) co_return Result<>();
  BlockGraph& graph = jobs().graph();
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *source_));
  frozen_ = false;
  const bool done = options_.bitmap_mode != BitmapSyncMode::kNever &&
                    (success || options_.bitmap_mode == BitmapSyncMode::kAlways);
  options_.bitmap->thaw(!done);
  if (done && !success) options_.bitmap->merge(*top().to_copy);
  co_return Result<>();
}

CoResult<> BackupJob::co_clean() {
  GraphWriteLock lock = co_await or_return(co_await jobs().graph().co_lock());
  std::ignore = co_await co_take_down(lock);
  forget_nodes();
  filter_.reset();
  source_.reset();
  target_.reset();
  co_return co_await jobs().graph().co_reap(lock);
}

CoResult<std::shared_ptr<Job>> co_make_backup(JobSet& jobs, GraphWriteLock& lock, NodeRef source,
                                              NodeRef target, BackupOptions options) {
  co_await or_return(jobs.check_id(options.block.job.id));
  auto job = std::make_shared<BackupJob>(jobs, std::move(source), std::move(target), std::move(options));
  co_await or_return(co_await job->co_set_up(lock));
  jobs.add(job);
  std::shared_ptr<Job> made = std::move(job);
  co_return std::move(made);
}

CoResult<> co_discard_backup(JobSet& jobs, GraphWriteLock& lock, Job& job) {
  std::ignore = co_await static_cast<BackupJob&>(job).co_take_down(lock);
  jobs.discard(job);
  co_return Result<>();
}

}  // namespace rhea
