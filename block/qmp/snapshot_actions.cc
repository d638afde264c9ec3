// blockdev-snapshot, blockdev-snapshot-sync: an overlay takes the place of an image.
#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/image_ops.h"
#include "block/graph/io.h"
#include "block/graph/open.h"
#include "block/jobs/chain_jobs.h"
#include "block/qmp/transaction.h"
#include "qapi/qapi_commands_transaction.h"
#include "qapi/visit.h"

namespace rhea {

namespace {

/// The steps both kinds share, once it is known what goes on what.
class PutOverlay : public BlockAction {
 public:
  explicit PutOverlay(JobSet* jobs) : jobs_(jobs) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    co_await or_return(check());
    drained_.emplace(co_await or_return(co_await graph.co_drain(lock, *image_)));
    if (!image_->read_only()) {
      const Result<> flushed = co_await co_node_flush(*image_);
      if (!flushed) co_return fail(EIO, "An IO error has occurred");
    }
    GraphEdit edit(graph);
    edit.attach(*overlay_, *image_, "backing", child_role::kCow | child_role::kData);
    edit.move_users(*image_, *overlay_);
    Result<> done = co_await edit.co_commit(lock);
    if (!done) drained_.reset();
    co_return done;
  }
  void commit() override { drained_.reset(); }
  CoResult<> co_abort(BlockGraph& graph, GraphWriteLock& lock) override {
    GraphEdit edit(graph);
    edit.detach(*overlay_, "backing");
    edit.move_users(*overlay_, *image_);
    Result<> done = co_await edit.co_commit(lock);
    drained_.reset();
    co_return done;
  }
  CoResult<> co_end(BlockGraph& graph) override {
    co_return co_await co_set_read_only(graph, image_, true);  // nobody writes to it any more
  }

 protected:
  Result<> check() const {
    if (!image_->is_inserted()) return fail(ENOMEDIUM, "Device '", image_->name(), "' has no medium");
    if (jobs_ != nullptr) TRY(jobs_->check_free(*image_));
    if (overlay_->has_backend()) return fail(EBUSY, "The overlay is already in use");
    if (jobs_ != nullptr) TRY(jobs_->check_free(*overlay_));
    if (overlay_->backing()) return fail(EINVAL, "The overlay already has a backing image");
    if (!overlay_->driver().supports_backing)
      return fail(EINVAL, "The overlay does not support backing images");
    if (is_reachable(*image_, *overlay_))
      return fail(EINVAL, "Making '", image_->name(), "' a backing child of '", overlay_->name(),
                  "' would create a cycle");
    return {};
  }
  JobSet* const jobs_;
  NodeRef image_, overlay_;

 private:
  std::optional<DrainedSection> drained_;
};

class Snapshot final : public PutOverlay {
 public:
  Snapshot(JobSet* jobs, BlockdevSnapshot args) : PutOverlay(jobs), args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    image_ = NodeRef(*co_await or_return(graph.lookup(args_.node)));
    overlay_ = NodeRef(*co_await or_return(graph.lookup(args_.overlay)));
    co_return co_await PutOverlay::co_prepare(graph, lock);
  }

 private:
  const BlockdevSnapshot args_;
};

class SnapshotSync final : public PutOverlay {
 public:
  SnapshotSync(JobSet* jobs, BlockdevSnapshotSync args) : PutOverlay(jobs), args_(std::move(args)) {}
  CoResult<> co_begin(BlockGraph& graph) override {
    co_await or_return(find_image(graph));
    const std::string name = args_.snapshot_node_name.value_or("");
    if (args_.node_name && name.empty()) co_return fail(EINVAL, "New overlay node-name missing");
    if (!name.empty() && graph.lookup(name)) co_return fail(EEXIST, "New overlay node-name already in use");
    const std::string format = args_.format.value_or("qcow2");
    if (jobs_ != nullptr) co_await or_return(jobs_->check_free(*image_));
    if (args_.mode.value_or(NewImageMode::kAbsolutePaths) != NewImageMode::kExisting) {
      OptionTree making;
      making.set("size", image_->total_bytes());
      making.set("backing_file", image_->filename());
      making.set("backing_fmt", skip_filters(*image_).driver().name);
      co_await or_return(
          co_await co_create_image_file(graph, format, args_.snapshot_file, std::move(making)));
    }
    OptionTree options;
    options.set("driver", format);
    if (!name.empty()) options.set("node-name", name);
    options.set("backing", Json());
    options.set("cache.direct", image_->flags().direct);
    options.set("cache.no-flush", image_->flags().no_flush);
    options.set("discard", image_->flags().unmap ? "unmap" : "ignore");
    OpenRequest request(std::move(options), args_.snapshot_file);
    overlay_ = co_await or_return(co_await co_open_node(graph, std::move(request)));
    co_return Result<>();
  }

 private:
  Result<> find_image(BlockGraph& graph) {
    const bool by_node = args_.node_name.has_value();
    if (!by_node && !args_.device) return fail(EINVAL, "Cannot find device='' nor node-name=''");
    BlockDriverState* node = TRY(graph.lookup(by_node ? *args_.node_name : *args_.device));
    image_ = NodeRef(*node);
    return {};
  }
  const BlockdevSnapshotSync args_;
};

}  // namespace

std::unique_ptr<BlockAction> make_snapshot(JobSet* jobs, BlockdevSnapshot args) {
  return std::make_unique<Snapshot>(jobs, std::move(args));
}
std::unique_ptr<BlockAction> make_snapshot_sync(JobSet* jobs, BlockdevSnapshotSync args) {
  return std::make_unique<SnapshotSync>(jobs, std::move(args));
}

CoResult<> qmp_blockdev_snapshot(QmpContext& ctx, BlockdevSnapshot args) {
  co_return co_await co_run_action(ctx.graph, make_snapshot(ctx.jobs, std::move(args)));
}
CoResult<> qmp_blockdev_snapshot_sync(QmpContext& ctx, BlockdevSnapshotSync args) {
  co_return co_await co_run_action(ctx.graph, make_snapshot_sync(ctx.jobs, std::move(args)));
}

}  // namespace rhea
