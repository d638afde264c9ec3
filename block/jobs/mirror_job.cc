#include "block/jobs/mirror_job.h"

#include <algorithm>
#include <bit>

#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "block/graph/node_opener.h"
#include "block/graph/open.h"
#include "block/graph/reopen.h"
#include "util/clock.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr int64_t kIdleNs = 100'000'000;

class MirrorJob final : public BlockJob {
 public:
  MirrorJob(JobSet& jobs, NodeRef source, NodeRef target, MirrorOptions options)
      : BlockJob(jobs, options.commit ? JobType::kCommit : JobType::kMirror, options.block),
        options_(std::move(options)),
        source_(std::move(source)),
        target_(std::move(target)) {}

  CoResult<> co_set_up(GraphWriteLock& lock);
  Result<PivotRecord> pivot_plan() const override;
  Result<> arrange_pivot(PivotArrangement arrangement) override;
  const PivotOutcome* pivot_outcome() const override { return arranged_ ? &outcome_ : nullptr; }

 private:
  CoResult<> co_run() override;
  CoResult<> co_prepare() override;
  CoResult<> co_pivot_as_arranged();
  CoResult<> co_bear_witness();
  CoResult<> co_abort() override { return co_take_down(); }
  CoResult<> co_clean() override;
  bool cancel_requested(bool force) override { return force || !is_ready(); }
  Result<> complete() override;

  CoResult<> co_find_differences();
  CoResult<> co_copy_next(uint64_t& at);
  CoResult<> co_copy_rest();
  CoResult<> co_open_own_backing();
  CoResult<> co_pivot(GraphWriteLock& lock);
  CoResult<> co_release_backends(GraphWriteLock& lock);
  CoResult<> co_take_down();
  CoResult<> co_put_target_in_place(GraphWriteLock& lock, BlockDriverState& replaced);
  void show_progress() { set_progress(done_, done_ + dirty_->dirty_bytes()); }

  const MirrorOptions options_;
  NodeRef source_, target_, filter_;
  JobBackend reading_, writing_;
  std::shared_ptr<DirtyBitmap> dirty_;
  NodeRef to_replace_, own_backing_;
  bool should_complete_ = false, in_graph_ = false, frozen_ = false;
  uint64_t done_ = 0;
  bool arranged_ = false;
  PivotArrangement arrangement_;
  PivotOutcome outcome_;
};

/// All of it or nothing: on failure the graph is as before.
CoResult<> MirrorJob::co_set_up(GraphWriteLock& lock) {
  BlockGraph& graph = jobs().graph();
  uint64_t granularity = options_.granularity;
  if (granularity == 0) {
    const Result<ImageDetails> details = co_await skip_filters(*target_).co_details();
    granularity = details && details->cluster_bytes != 0
                      ? std::clamp<uint64_t>(details->cluster_bytes, 4096, 1u << 26)
                      : 65536;
  }
  dirty_ = co_await or_return(DirtyBitmap::create({}, source_->total_bytes(), granularity));
  OpenFlags flags = source_->flags();
  flags.read_only = flags.auto_read_only = false;
  filter_ = co_await or_return(make_filter_node(lock, graph, kMirrorTopDriver, options_.filter_name, flags));
  auto& top = static_cast<MirrorTop&>(*filter_);
  if (options_.commit) top.set_commit();
  if (options_.filter_name.empty()) filter_->set_implicit();
  if (options_.commit) co_await or_return(freeze_chain(*source_, target_.get()));
  frozen_ = options_.commit;
  Result<> done = co_await co_insert_filter(lock, *filter_, *source_, "backing");
  if (done) {
    in_graph_ = true;
    source_->add_bitmap(dirty_);
    using namespace blk_perm;
    const PermPair write{kWrite | (options_.commit ? kResize : 0),
                         options_.commit ? kAll & ~kResize : kWriteUnchanged | kWrite};
    Result<JobBackend> writing = co_await JobBackend::co_make(lock, *target_, write);
    if (writing) {
      writing_ = std::move(*writing);
      const PermPair read{options_.commit ? 0 : kConsistentRead, kAll & ~kResize};
      Result<JobBackend> reading = co_await JobBackend::co_make(lock, *filter_, read);
      if (reading)
        reading_ = std::move(*reading);
      else
        done = Failure(std::move(reading).error());
    } else {
      done = Failure(std::move(writing).error());
    }
  }
  if (done && options_.write_blocking) {
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *filter_));
    GraphEdit edit(graph);
    edit.attach(*filter_, *target_, "target", child_role::kData);
    done = co_await edit.co_commit(lock);
    if (done) top.start_write_blocking(dirty_, [this](int errnum) { error_action(false, errnum); });
  }
  if (!done) {
    std::ignore = co_await co_release_backends(lock);
    if (in_graph_) {
      source_->remove_bitmap(*dirty_);
      std::ignore = co_await co_remove_filter(lock, *filter_);
      in_graph_ = false;
    }
    if (frozen_) unfreeze_chain(*source_, target_.get());
    frozen_ = false;
    co_return done;
  }
  add_node(*filter_);
  add_node(*source_);
  add_node(*target_);
  if (options_.commit)
    for (BlockDriverState* n = filter_or_cow_child(*source_); n != nullptr && n != target_.get();
         n = filter_or_cow_child(*n))
      add_node(*n);
  co_return Result<>();
}

/// What has to be copied at all.
CoResult<> MirrorJob::co_find_differences() {
  if (options_.sync == MirrorOptions::Sync::kNone) co_return Result<>();
  const uint64_t bytes = source_->total_bytes();
  if (options_.zero_target && options_.sync == MirrorOptions::Sync::kFull && !target_->flags().unmap) {
    dirty_->set({0, bytes});
    co_return Result<>();
  }
  if (options_.zero_target && options_.sync == MirrorOptions::Sync::kFull) {
    constexpr uint64_t kStep = uint64_t{1} << 30;
    for (uint64_t at = 0; at < bytes && !is_cancelled(); at += kStep) {
      const ByteRange part(at, std::min(kStep, bytes - at));
      co_await or_return(co_await writing_->co_pwrite_zeroes(part, true));
      co_await or_return(co_await co_sleep(0));
    }
  }
  BlockDriverState* base = nullptr;
  if (options_.commit)
    base = target_.get();
  else if (options_.sync == MirrorOptions::Sync::kTop)
    base = cow_child(skip_filters(*source_));
  for (uint64_t at = 0; at < bytes && !is_cancelled();) {
    const ByteRange rest(at, bytes - at);
    BlockStatus s;
    {
      const JobPass pass = co_await or_return(co_await JobPass::co_enter(*reading_));
      s = co_await or_return(co_await co_status_above(*source_, base, false, rest));
    }
    if (s.bytes == 0) break;
    if (s.allocated && (!s.zero || !options_.zero_target || options_.sync != MirrorOptions::Sync::kFull))
      dirty_->set({at, s.bytes});
    at += s.bytes;
    co_await or_return(co_await co_sleep(0));
  }
  co_return Result<>();
}

/// Copies the next part that differs, at or behind `at`, or the first one.
CoResult<> MirrorJob::co_copy_next(uint64_t& at) {
  constexpr uint64_t kPartBytes = 1u << 20;
  const uint64_t bytes = dirty_->bytes();
  auto area = dirty_->next_area(at, bytes, std::max(kPartBytes, dirty_->granularity()));
  if (!area) area = dirty_->next_area(0, bytes, std::max(kPartBytes, dirty_->granularity()));
  if (!area) co_return Result<>();
  auto& top = static_cast<MirrorTop&>(*filter_);
  CopyFailure failure;
  Result<> copied;
  {
    const JobPass pass = co_await or_return(co_await JobPass::co_enter(*reading_, *writing_));
    const RangeLock::Guard guard = co_await or_return(co_await top.copying().co_acquire(*area, true));
    dirty_->clear(*area);
    const CopyEnd from{source_.get()}, to{target_.get()};
    copied = co_await co_copy_range(from, to, *area, options_.unmap, failure);
  }
  if (copied) {
    done_ += area->bytes;
    at = area->end();
    co_return Result<>();
  }
  dirty_->set(*area);
  at = area->end();
  if (error_action(failure.reading, failure.errnum) == IoErrorAction::kReport) co_return copied;
  co_return Result<>();
}

CoResult<> MirrorJob::co_run() {
  if (options_.commit && target_->total_bytes() < source_->total_bytes())
    co_await or_return(co_await writing_->co_truncate(source_->total_bytes()));
  co_await or_return(co_await co_find_differences());
  uint64_t at = 0;
  while (!is_cancelled()) {
    const uint64_t before = done_;
    show_progress();
    if (dirty_->dirty_bytes() != 0) {
      co_await or_return(co_await co_copy_next(at));
      show_progress();
      co_await or_return(co_await co_pace(done_ - before));
      continue;
    }
    if (!is_ready()) {
      if (Result<> flushed = co_await writing_->co_flush(); !flushed) {
        if (error_action(false, flushed.error().errnum()) == IoErrorAction::kReport) co_return flushed;
        co_await or_return(co_await co_pause_point());
        continue;
      }
      if (dirty_->dirty_bytes() != 0 || is_cancelled()) continue;
      become_ready();
      continue;
    }
    if (should_complete_ || Job::cancel_requested()) break;
    co_await or_return(co_await co_sleep(kIdleNs));
  }
  co_return Result<>();
}

Result<> MirrorJob::complete() {
  if (!options_.replaces.empty() && !to_replace_) {
    BlockDriverState* node = jobs().graph().find_node(options_.replaces);
    if (node == nullptr || !node->is_open())
      return fail(ENOENT, "Node name '", options_.replaces, "' not found");
    to_replace_ = NodeRef(*node);
  }
  should_complete_ = true;
  wake();
  return {};
}

Result<PivotRecord> MirrorJob::pivot_plan() const {
  PivotRecord plan;
  plan.job = id();
  plan.from_node = options_.replaces.empty() ? source_->name() : options_.replaces;
  plan.to_node = target_->name();
  return plan;
}

Result<> MirrorJob::arrange_pivot(PivotArrangement arrangement) {
  if (should_complete_ || arranged_) return fail(EBUSY, "Job '", id(), "' is being completed already");
  outcome_.record = TRY(pivot_plan());
  if (arrangement.witness != nullptr) outcome_.record = arrangement.witness->record();
  arrangement_ = std::move(arrangement);
  arranged_ = true;
  return {};
}

/// With everything drained: what the guest has written since the last look.
CoResult<> MirrorJob::co_copy_rest() {
  while (const auto area = dirty_->next_area(0, dirty_->bytes())) {
    dirty_->clear(*area);
    CopyFailure failure;
    const CopyEnd from{source_.get()}, to{target_.get()};
    Result<> copied = co_await co_copy_range(from, to, *area, options_.unmap, failure);
    if (!copied) dirty_->set(*area);
    co_await or_return(std::move(copied));
    done_ += area->bytes;
  }
  show_progress();
  co_return co_await co_node_flush(*target_);
}

CoResult<> MirrorJob::co_release_backends(GraphWriteLock& lock) {
  std::ignore = co_await reading_.co_release(lock);
  co_return co_await writing_.co_release(lock);
}

CoResult<> MirrorJob::co_put_target_in_place(GraphWriteLock& lock, BlockDriverState& replaced) {
  BlockGraph& graph = jobs().graph();
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *target_));
  GraphEdit edit(graph);
  std::vector<std::string> names;
  for (const BdrvChild* c : filter_->children()) names.push_back(c->name());
  for (const std::string& name : names) edit.detach(*filter_, name);
  edit.move_users(*filter_, *source_);
  BlockDriverState& image = skip_filters(*target_);
  if (options_.take_over_backing && options_.sync != MirrorOptions::Sync::kFull && !image.backing()) {
    BlockDriverState* below =
        options_.sync == MirrorOptions::Sync::kNone ? source_.get() : cow_child(skip_filters(*source_));
    if (below != nullptr) edit.attach(image, *below, "backing", child_role::kCow | child_role::kData);
  }
  if (own_backing_ && !image.backing())
    edit.attach(image, *own_backing_, "backing", child_role::kCow | child_role::kData);
  edit.move_users(replaced, *target_);
  std::function<CoResult<>()> last = [this] { return co_bear_witness(); };
  co_return co_await edit.co_commit(lock, std::move(last));
}

/// Everything is drained, and nothing but this can fail any more: the disk is where the witness says it is.
CoResult<> MirrorJob::co_bear_witness() {
  if (arrangement_.witness == nullptr) co_return Result<>();
  Result<> written = co_await arrangement_.witness->co_write(PivotRecord::Verdict::kPivoted);
  if (written) co_return written;
  const Result<> refused = co_await arrangement_.witness->co_write(PivotRecord::Verdict::kRefused);
  if (refused) co_return written;
  // What the storage will say nobody knows. As long as the guest writes nothing both disks are the same, and
  // either answer is right.
  if (jobs().graph().stop_machine) jobs().graph().stop_machine();
  co_return Failure(std::move(written).error().prepend(
      "The machine is stopped, because its disk may be the one or the other by what the witness says: "));
}

CoResult<> MirrorJob::co_pivot(GraphWriteLock& lock) {
  BlockGraph& graph = jobs().graph();
  BlockDriverState& replaced = to_replace_ ? *to_replace_ : *source_;
  if (frozen_) unfreeze_chain(*source_, target_.get());
  frozen_ = false;
  if (&replaced != source_.get() && !is_reachable(*filter_, replaced))
    co_return fail(
        EPERM, "Can no longer replace '", replaced.name(), "' by '", target_->name(),
        "', because it can no longer be guaranteed that doing so would not lead to an abrupt change of "
        "visible data");
  // Whoever reaches the source through the filter reaches `replaced` too, and maybe it alone.
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, replaced));
  co_await or_return(co_await co_copy_rest());
  if (source_->written())
    co_await or_return(co_await co_node_flush(*source_));  // nobody writes to it afterwards
  co_await or_return(co_await co_release_backends(lock));
  source_->remove_bitmap(*dirty_);
  co_await or_return(co_await co_put_target_in_place(lock, replaced));
  in_graph_ = false;
  co_return Result<>();
}

/// The backing file that the target's image names, opened only now: until here it was not needed.
CoResult<> MirrorJob::co_open_own_backing() {
  BlockDriverState& image = skip_filters(*target_);
  const BackingName& name = image.backing_name();
  if (!options_.open_backing || image.backing() || name.file.empty()) co_return Result<>();
  OptionTree options;
  if (!name.format.empty()) options.set("driver", name.format);
  options.set("read-only", true);
  std::string file = co_await or_return(resolve_backing_name(image.file().node().filename(), name.file));
  OpenRequest request(std::move(options), std::move(file));
  request.user_supplied_name = false;
  own_backing_ = co_await or_return(co_await co_open_node(jobs().graph(), std::move(request)));
  co_return Result<>();
}

CoResult<> MirrorJob::co_prepare() {
  if (!should_complete_) co_return co_await co_take_down();  // the copy stands by itself
  BlockDriverState& replaced = to_replace_ ? *to_replace_ : *source_;
  if (replaced.read_only() != target_->read_only()) {
    ReopenRequest request;
    request.node = target_;
    request.options.set("read-only", replaced.read_only());
    std::vector<ReopenRequest> requests;
    requests.push_back(std::move(request));
    std::ignore = co_await co_reopen(jobs().graph(), std::move(requests), true);
  }
  co_await or_return(co_await co_open_own_backing());
  if (arranged_) co_return co_await co_pivot_as_arranged();
  GraphWriteLock lock = co_await or_return(co_await jobs().graph().co_lock());
  co_return co_await co_pivot(lock);
}

/// The machine stands around it, and somebody writes down how it went, as far as that was asked for.
CoResult<> MirrorJob::co_pivot_as_arranged() {
  const int64_t start_ns = realtime_clock().now_ns();
  bool stopped = false;
  Result<> done;
  if (arrangement_.pause) {
    Result<bool> paused = co_await arrangement_.pause();
    if (paused)
      stopped = *paused;
    else
      done = Failure(std::move(paused).error());
  }
  if (done) {
    GraphWriteLock lock = co_await or_return(co_await jobs().graph().co_lock());
    done = co_await co_pivot(lock);
  }
  PivotWitness* witness = arrangement_.witness.get();
  outcome_.record.verdict = done ? PivotRecord::Verdict::kPivoted : PivotRecord::Verdict::kRefused;
  // Without it the record would say "prepared", which means the same.
  if (!done && witness != nullptr && witness->record().verdict == PivotRecord::Verdict::kPrepared)
    std::ignore = co_await witness->co_write(PivotRecord::Verdict::kRefused);
  if (stopped) {
    const Result<> resumed = arrangement_.resume();
    if (!resumed) warn_report(str_cat("resuming after drive-reopen failed: ", resumed.error().message()));
    outcome_.paused_ns = realtime_clock().now_ns() - start_ns;
  }
  co_return done;
}

/// The source goes on as if nothing had been.
CoResult<> MirrorJob::co_take_down() {
  if (!in_graph_) co_return Result<>();
  GraphWriteLock lock = co_await or_return(co_await jobs().graph().co_lock());
  if (writing_ && !Job::is_cancelled()) {
    const DrainedSection drained = co_await or_return(co_await jobs().graph().co_drain(lock, *filter_));
    if (result()) co_await or_return(co_await co_copy_rest());
  }
  co_await or_return(co_await co_release_backends(lock));
  if (frozen_) unfreeze_chain(*source_, target_.get());
  frozen_ = false;
  source_->remove_bitmap(*dirty_);
  in_graph_ = false;
  co_return co_await co_remove_filter(lock, *filter_);
}

CoResult<> MirrorJob::co_clean() {
  std::ignore = co_await co_take_down();  // after a success there is nothing left to do
  forget_nodes();
  source_.reset();
  target_.reset();
  filter_.reset();
  to_replace_.reset();
  own_backing_.reset();
  GraphWriteLock lock = co_await or_return(co_await jobs().graph().co_lock());
  co_return co_await jobs().graph().co_reap(lock);
}

}  // namespace

CoResult<> co_start_mirror(JobSet& jobs, NodeRef source, NodeRef target, MirrorOptions options) {
  co_await or_return(jobs.check_id(options.block.job.id));
  auto job = std::make_shared<MirrorJob>(jobs, std::move(source), std::move(target), std::move(options));
  {
    GraphWriteLock lock = co_await or_return(co_await jobs.graph().co_lock());
    co_await or_return(jobs.check_id(job->id()));
    co_await or_return(co_await job->co_set_up(lock));
  }
  jobs.add(job);
  jobs.start(*job);
  co_return Result<>();
}

}  // namespace rhea
