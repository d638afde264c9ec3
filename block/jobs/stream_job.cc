#include <algorithm>

#include "block/graph/aligned_buffer.h"
#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "block/jobs/chain_jobs.h"
#include "block/jobs/job_filter.h"

namespace rhea {

namespace {

constexpr uint64_t kStreamBytes = 512u << 10;

/// Above the image that is filled: keeps its users' writes apart from the job's.
class StreamTop final : public JobFilter {
 public:
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    const RangeLock::Guard guard = co_await or_return(co_await filling.co_acquire(range, false));
    co_return co_await backing_.co_pwritev(range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    const RangeLock::Guard guard = co_await or_return(co_await filling.co_acquire(range, false));
    co_return co_await backing_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    const RangeLock::Guard guard = co_await or_return(co_await filling.co_acquire(range, false));
    co_return co_await backing_.co_pdiscard(range);
  }
  RangeLock filling;  ///< the job takes what it fills for itself
};

const BlockDriver kStreamTopDriver = {
    .name = "copy-on-read",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<StreamTop>(); },
};

class StreamJob final : public BlockJob {
 public:
  StreamJob(JobSet& jobs, NodeRef top, NodeRef base, ChainJobOptions options)
      : BlockJob(jobs, JobType::kStream, options.block),
        options_(std::move(options)),
        top_(std::move(top)),
        image_(skip_filters(*top_)) {
    BlockDriverState* above = image_.get();
    for (BlockDriverState* n = above; n != nullptr && n != base.get(); n = filter_or_cow_child(*n)) above = n;
    above_ = NodeRef(*above);
  }
  CoResult<> co_set_up(GraphWriteLock& lock);
  bool was_read_only = false;

 private:
  CoResult<> co_run() override;
  CoResult<> co_prepare() override;
  CoResult<> co_clean() override;
  CoResult<> co_fill(ByteRange part);
  CoResult<uint64_t> co_fill_next(uint64_t at, uint64_t end, Result<>& error);

  const ChainJobOptions options_;
  /// What lies below the last image that is pulled; it may change while the job works. Null at the end.
  BlockDriverState* base() const { return filter_or_cow_child(*above_); }
  NodeRef top_, image_, filter_;
  NodeRef above_;  ///< the last image, or filter on it, that goes
  JobBackend backend_;
  bool frozen_ = false, in_graph_ = false;
};

CoResult<> StreamJob::co_set_up(GraphWriteLock& lock) {
  BlockGraph& graph = jobs().graph();
  using namespace blk_perm;
  OpenFlags flags = top_->flags();
  filter_ = co_await or_return(make_filter_node(lock, graph, kStreamTopDriver, options_.filter_name, flags));
  if (options_.filter_name.empty()) filter_->set_implicit();
  co_await or_return(freeze_chain(*image_, above_.get()));
  frozen_ = true;
  Result<> done = co_await co_insert_filter(lock, *filter_, *top_, "backing");
  if (done) {
    in_graph_ = true;
    Result<JobBackend> backend =
        co_await JobBackend::co_make(lock, *filter_, {kConsistentRead | kWriteUnchanged, kAll & ~kResize});
    if (backend)
      backend_ = std::move(*backend);
    else
      done = Failure(std::move(backend).error());
  }
  if (!done) {
    if (in_graph_) std::ignore = co_await co_remove_filter(lock, *filter_);
    in_graph_ = false;
    unfreeze_chain(*image_, above_.get());
    co_return done;
  }
  add_node(*filter_);
  add_node(*top_);
  for (BlockDriverState* n = image_.get(); n != nullptr && n != base(); n = filter_or_cow_child(*n))
    add_node(*n);
  co_return Result<>();
}

/// Takes the part for itself, and copies it unless a user has written there meanwhile.
CoResult<> StreamJob::co_fill(ByteRange part) {
  auto& top = static_cast<StreamTop&>(*filter_);
  const JobPass pass = co_await or_return(co_await JobPass::co_enter(*backend_));
  const RangeLock::Guard guard = co_await or_return(co_await top.filling.co_acquire(part, true));
  for (uint64_t at = part.offset; at < part.end();) {
    ByteRange piece(at, part.end() - at);
    const BlockStatus own = co_await or_return(co_await co_node_block_status(*image_, piece));
    piece.bytes = std::min(piece.bytes, own.bytes);
    if (!own.allocated) {
      AlignedBuffer buffer;
      co_await or_return(buffer.allocate(4096, piece.bytes));
      co_await or_return(co_await co_node_preadv(*image_, piece, buffer.iov(piece.bytes)));
      const uint8_t* p = buffer.data();
      const bool zero = p[0] == 0 && std::memcmp(p, p + 1, piece.bytes - 1) == 0;
      if (zero)
        co_await or_return(co_await co_node_pwrite_zeroes(*image_, piece, false));
      else
        co_await or_return(co_await co_node_pwritev(*image_, piece, buffer.iov(piece.bytes)));
    }
    at += piece.bytes;
  }
  co_return Result<>();
}

/// Deals with what stands at `at`; returns its length, 0 for once more.
CoResult<uint64_t> StreamJob::co_fill_next(uint64_t at, uint64_t end, Result<>& error) {
  ByteRange part(at, std::min(kStreamBytes, end - at));
  bool copy = false;
  Result<BlockStatus> s;
  {
    const JobPass pass = co_await or_return(co_await JobPass::co_enter(*backend_));
    s = co_await co_node_block_status(*image_, part);
    BlockDriverState* below = cow_child(*image_);
    if (s && s->bytes != 0) part.bytes = std::min(part.bytes, s->bytes);
    if (s && s->bytes != 0 && !s->allocated && below != nullptr) {
      s = co_await co_status_above(*below, base(), false, part);
      if (s && s->bytes != 0) {  // else nothing is there: it reads as zeroes with or without it
        part.bytes = std::min(part.bytes, s->bytes);
        copy = s->allocated;
      }
    }
  }
  Result<> done;
  if (!s) done = Failure(std::move(s).error());
  if (done && copy) done = co_await co_fill(part);
  if (done) {
    co_await or_return(co_await co_pace(copy ? part.bytes : 0));
    co_return part.bytes;
  }
  const IoErrorAction action = error_action(true, done.error().errnum());
  if (action == IoErrorAction::kStop) {
    co_await or_return(co_await co_pause_point());
    co_return uint64_t{0};
  }
  if (error) error = done;
  if (action == IoErrorAction::kReport) co_return Failure(std::move(done).error());
  co_return part.bytes;
}

CoResult<> StreamJob::co_run() {
  const uint64_t end = image_->total_bytes();
  if (above_.get() == image_.get() && base() != nullptr) co_return Result<>();  // nothing is between them
  set_progress(0, end);
  Result<> error;
  for (uint64_t at = 0; at < end && !is_cancelled();) {
    const uint64_t n = co_await or_return(co_await co_fill_next(at, end, error));
    at += n;
    add_progress(n);
  }
  co_return error;
}

CoResult<> StreamJob::co_prepare() {
  BlockGraph& graph = jobs().graph();
  if (cow_child(*image_) == nullptr) co_return Result<>();
  if (above_.get() == image_.get()) co_return Result<>();
  NodeRef shown;
  if (base() != nullptr) shown = NodeRef(skip_filters(*base()));
  co_await or_return(co_await co_write_backing_name(graph, image_, shown.get(), options_.backing_file));
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *image_));
  if (frozen_) unfreeze_chain(*image_, above_.get());
  frozen_ = false;
  GraphEdit edit(graph);
  if (BlockDriverState* below = base(); below != nullptr)
    edit.move(*image_->backing().edge(), *below);
  else
    edit.detach(*image_, "backing");
  co_return co_await edit.co_commit(lock);
}

CoResult<> StreamJob::co_clean() {
  BlockGraph& graph = jobs().graph();
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    if (frozen_) unfreeze_chain(*image_, above_.get());
    frozen_ = false;
    std::ignore = co_await backend_.co_release(lock);
    if (in_graph_) std::ignore = co_await co_remove_filter(lock, *filter_);
    in_graph_ = false;
    filter_.reset();
  }
  if (was_read_only) std::ignore = co_await co_set_read_only(graph, image_, true);
  forget_nodes();
  top_.reset();
  image_.reset();
  above_.reset();
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_return co_await graph.co_reap(lock);
}

}  // namespace

CoResult<> co_start_stream(JobSet& jobs, NodeRef top, NodeRef base, ChainJobOptions options) {
  co_await or_return(jobs.check_id(options.block.job.id));
  BlockGraph& graph = jobs.graph();
  NodeRef image(skip_filters(*top));
  const bool read_only = image->read_only();
  co_await or_return(co_await co_set_read_only(graph, image, false));
  auto job = std::make_shared<StreamJob>(jobs, std::move(top), std::move(base), std::move(options));
  Result<> ready;
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    ready = jobs.check_id(job->id());
    if (ready) ready = co_await job->co_set_up(lock);
  }
  if (!ready) {
    if (read_only) std::ignore = co_await co_set_read_only(graph, image, true);
    co_return ready;
  }
  job->was_read_only = read_only;
  jobs.add(job);
  jobs.start(*job);
  co_return Result<>();
}

}  // namespace rhea
