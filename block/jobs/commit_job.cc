#include <algorithm>

#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "block/graph/reopen.h"
#include "block/jobs/chain_jobs.h"
#include "block/jobs/copy_range.h"
#include "block/jobs/job_filter.h"

namespace rhea {

namespace {

constexpr uint64_t kCommitBytes = 512u << 10;

/// Above the image that is written down: whoever reads it asks for no consistency below, where the job
/// writes.
class CommitTop final : public JobFilter {
 public:
  PermPair child_perms(const BlockEdge&, PermPair) const override { return {0, blk_perm::kAll}; }
};

const BlockDriver kCommitTopDriver = {
    .name = "commit_top",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<CommitTop>(); },
};

class CommitJob final : public BlockJob {
 public:
  CommitJob(JobSet& jobs, NodeRef active, NodeRef top, NodeRef base, ChainJobOptions options)
      : BlockJob(jobs, JobType::kCommit, options.block),
        options_(std::move(options)),
        active_(std::move(active)),
        top_(std::move(top)),
        base_(std::move(base)) {}
  CoResult<> co_set_up(GraphWriteLock& lock);
  bool base_was_read_only = false;

 private:
  CoResult<> co_run() override;
  CoResult<> co_prepare() override;
  CoResult<> co_clean() override;
  CoResult<> co_step(uint64_t& at, uint64_t end);
  CoResult<> co_write_names();

  const ChainJobOptions options_;
  NodeRef active_, top_, base_, filter_;
  JobBackend reading_, writing_;
  bool frozen_ = false, in_graph_ = false;
};

CoResult<> CommitJob::co_set_up(GraphWriteLock& lock) {
  using namespace blk_perm;
  OpenFlags flags = top_->flags();
  flags.read_only = true;
  filter_ = co_await or_return(
      make_filter_node(lock, jobs().graph(), kCommitTopDriver, options_.filter_name, flags));
  if (options_.filter_name.empty()) filter_->set_implicit();
  co_await or_return(freeze_chain(*top_, base_.get()));
  frozen_ = true;
  Result<> done = co_await co_insert_filter(lock, *filter_, *top_, "backing");
  if (done) {
    in_graph_ = true;
    Result<JobBackend> writing = co_await JobBackend::co_make(
        lock, *base_, {kConsistentRead | kWrite | kResize, kConsistentRead | kWriteUnchanged});
    if (writing) {
      writing_ = std::move(*writing);
      Result<JobBackend> reading = co_await JobBackend::co_make(lock, *top_, {0, kAll});
      if (reading)
        reading_ = std::move(*reading);
      else
        done = Failure(std::move(reading).error());
    } else {
      done = Failure(std::move(writing).error());
    }
  }
  if (!done) {
    std::ignore = co_await reading_.co_release(lock);
    std::ignore = co_await writing_.co_release(lock);
    if (in_graph_) std::ignore = co_await co_remove_filter(lock, *filter_);
    in_graph_ = false;
    unfreeze_chain(*top_, base_.get());
    co_return done;
  }
  add_node(*active_);
  for (BlockDriverState* n = top_.get(); n != nullptr && n != base_.get(); n = filter_or_cow_child(*n))
    add_node(*n);
  add_node(*base_);
  co_return Result<>();
}

CoResult<> CommitJob::co_step(uint64_t& at, uint64_t end) {
  ByteRange part(at, std::min(kCommitBytes, end - at));
  CopyFailure failure{true, 0};
  Result<> done;
  bool copy = false;
  Result<BlockStatus> s;
  {
    const JobPass pass = co_await or_return(co_await JobPass::co_enter(*reading_));
    s = co_await co_status_above(*top_, base_.get(), false, part);
  }
  if (s) {
    if (s->bytes != 0) part.bytes = std::min(part.bytes, s->bytes);
    copy = s->bytes != 0 && s->allocated;
    const CopyEnd from{top_.get(), &*reading_}, to{base_.get(), &*writing_};
    if (copy) done = co_await co_copy_range(from, to, part, false, failure);
  } else {
    failure.errnum = s.error().errnum();
    done = Failure(std::move(s).error());
  }
  if (done) {
    at += part.bytes;
    add_progress(part.bytes);
    co_return co_await co_pace(copy ? part.bytes : 0);
  }
  if (error_action(failure.reading, failure.errnum) == IoErrorAction::kReport) co_return done;
  co_return co_await co_pause_point();
}

CoResult<> CommitJob::co_run() {
  const uint64_t end = top_->total_bytes();
  set_progress(0, end);
  if (base_->total_bytes() < end) co_await or_return(co_await writing_->co_truncate(end));
  for (uint64_t at = 0; at < end && !is_cancelled();) co_await or_return(co_await co_step(at, end));
  co_return co_await writing_->co_flush();
}

/// The images that lay on top of what was written down remember the base.
CoResult<> CommitJob::co_write_names() {
  std::vector<NodeRef> overlays;
  for (const BlockEdge* e : filter_->parents())
    if (e->parent_node != nullptr && (e->role & child_role::kCow) != 0)
      overlays.emplace_back(*e->parent_node);
  for (const NodeRef& overlay : overlays)
    co_await or_return(co_await co_write_backing_name(jobs().graph(), overlay, &skip_filters(*base_),
                                                      options_.backing_file));
  co_return Result<>();
}

CoResult<> CommitJob::co_prepare() {
  BlockGraph& graph = jobs().graph();
  co_await or_return(co_await co_write_names());
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  std::ignore = co_await reading_.co_release(lock);
  std::ignore = co_await writing_.co_release(lock);
  if (frozen_) unfreeze_chain(*top_, base_.get());
  frozen_ = false;
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *filter_));
  GraphEdit edit(graph);
  edit.detach(*filter_, "backing");
  edit.move_users(*filter_, *base_);
  co_await or_return(co_await edit.co_commit(lock));
  in_graph_ = false;
  co_return Result<>();
}

CoResult<> CommitJob::co_clean() {
  BlockGraph& graph = jobs().graph();
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    std::ignore = co_await reading_.co_release(lock);
    std::ignore = co_await writing_.co_release(lock);
    if (frozen_) unfreeze_chain(*top_, base_.get());
    frozen_ = false;
    if (in_graph_) std::ignore = co_await co_remove_filter(lock, *filter_);
    in_graph_ = false;
    filter_.reset();
  }
  if (base_was_read_only) std::ignore = co_await co_set_read_only(graph, base_, true);
  forget_nodes();
  active_.reset();
  top_.reset();
  base_.reset();
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_return co_await graph.co_reap(lock);
}

}  // namespace

CoResult<> co_set_read_only(BlockGraph& graph, NodeRef node, bool read_only) {
  if (node->read_only() == read_only) co_return Result<>();
  ReopenRequest request;
  request.node = std::move(node);
  request.options.set("read-only", read_only);
  std::vector<ReopenRequest> requests;
  requests.push_back(std::move(request));
  co_return co_await co_reopen(graph, std::move(requests), true);
}

CoResult<> co_write_backing_name(BlockGraph& graph, NodeRef overlay, const BlockDriverState* base,
                                 const std::string& name) {
  BackingName now;
  if (base != nullptr) {
    now.file = name.empty() ? base->filename() : name;
    now.format = base->driver().name;
  }
  const bool read_only = overlay->read_only();
  co_await or_return(co_await co_set_read_only(graph, overlay, false));
  Result<> done;
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *overlay));
    done = co_await overlay->co_change_backing_name(std::move(now));
  }
  if (read_only) std::ignore = co_await co_set_read_only(graph, overlay, true);
  co_return done;
}

CoResult<> co_start_commit(JobSet& jobs, NodeRef active, NodeRef top, NodeRef base, ChainJobOptions options) {
  co_await or_return(jobs.check_id(options.block.job.id));
  BlockGraph& graph = jobs.graph();
  const NodeRef kept = base;
  const bool read_only = base->read_only();
  co_await or_return(co_await co_set_read_only(graph, base, false));
  auto job = std::make_shared<CommitJob>(jobs, std::move(active), std::move(top), std::move(base),
                                         std::move(options));
  Result<> ready;
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    ready = jobs.check_id(job->id());
    if (ready) ready = co_await job->co_set_up(lock);
  }
  if (!ready) {
    if (read_only) std::ignore = co_await co_set_read_only(graph, kept, true);
    co_return ready;
  }
  job->base_was_read_only = read_only;
  jobs.add(job);
  jobs.start(*job);
  co_return Result<>();
}

}  // namespace rhea
