// blockdev-snapshot-internal-sync, blockdev-snapshot-delete-internal-sync: snapshots inside an image.
#include <ctime>

#include "block/graph/chain.h"
#include "block/qmp/job_args.h"
#include "block/qmp/query_block.h"
#include "block/qmp/transaction.h"
#include "qapi/qapi_commands_transaction.h"
#include "util/clock.h"

namespace rhea {

namespace {

/// By whatever of id and name is given; empty id: none.
CoResult<ImageSnapshot> co_find_snapshot(BlockDriverState& image, std::optional<std::string> id,
                                         std::optional<std::string> name) {
  const ImageDetails details = co_await or_return(co_await image.co_details());
  for (const ImageSnapshot& s : details.snapshots)
    if ((!id || s.id == *id) && (!name || s.name == *name)) co_return s;
  co_return ImageSnapshot{};
}

class InternalSnapshot final : public BlockAction {
 public:
  InternalSnapshot(JobSet* jobs, BlockdevSnapshotInternal args) : jobs_(jobs), args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    BlockDriverState* root = co_await or_return(root_node(graph, args_.device));
    if (jobs_ != nullptr) co_await or_return(jobs_->check_free(*root));
    image_ = NodeRef(skip_implicit_filters(*root));
    if (image_->read_only()) co_return fail(EINVAL, "Device '", args_.device, "' is read only");
    if (!image_->supports_snapshots())
      co_return fail(ENOTSUP, "Block format '", image_->driver().name, "' used by device '", args_.device,
                     "' does not support internal snapshots");
    if (args_.name.empty()) co_return fail(EINVAL, "Name is empty");
    drained_.emplace(co_await or_return(co_await graph.co_drain(lock, *image_)));
    Result<> made = co_await co_make();
    if (!made) drained_.reset();
    co_return made;
  }
  void commit() override { drained_.reset(); }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    Result<> gone = co_await image_->co_snapshot_delete(id_);
    drained_.reset();
    co_return gone;
  }

 private:
  CoResult<> co_make() {
    const ImageSnapshot there =
        co_await or_return(co_await co_find_snapshot(*image_, std::nullopt, args_.name));
    if (!there.id.empty())
      co_return fail(EINVAL, "Snapshot with name '", args_.name, "' already exists on device '", args_.device,
                     "'");
    ImageSnapshot fresh;
    fresh.name = args_.name;
    timespec at = {};
    clock_gettime(CLOCK_REALTIME, &at);
    fresh.date_s = static_cast<uint32_t>(at.tv_sec);
    fresh.date_ns = static_cast<uint32_t>(at.tv_nsec);
    fresh.vm_clock_ns = static_cast<uint64_t>(virtual_clock().now_ns());
    Result<> made = co_await image_->co_snapshot_create(std::move(fresh));
    if (!made)
      co_return fail_errno(made.error().errnum(), "Failed to create snapshot '", args_.name, "' on device '",
                           args_.device, "'");
    ImageSnapshot mine = co_await or_return(co_await co_find_snapshot(*image_, std::nullopt, args_.name));
    id_ = std::move(mine.id);
    co_return Result<>();
  }
  JobSet* const jobs_;
  const BlockdevSnapshotInternal args_;
  NodeRef image_;
  std::string id_;
  std::optional<DrainedSection> drained_;
};

}  // namespace

std::unique_ptr<BlockAction> make_internal_snapshot(JobSet* jobs, BlockdevSnapshotInternal args) {
  return std::make_unique<InternalSnapshot>(jobs, std::move(args));
}

CoResult<> qmp_blockdev_snapshot_internal_sync(QmpContext& ctx, BlockdevSnapshotInternal args) {
  co_return co_await co_run_action(ctx.graph, make_internal_snapshot(ctx.jobs, std::move(args)));
}

CoResult<SnapshotInfo> qmp_blockdev_snapshot_delete_internal_sync(
    QmpContext& ctx, BlockdevSnapshotDeleteInternalSyncArgs args) {
  GraphWriteLock lock = co_await or_return(co_await ctx.graph.co_lock());
  BlockDriverState* root = co_await or_return(root_node(ctx.graph, args.device));
  if (!args.id && !args.name) co_return fail(EINVAL, "Name or id must be provided");
  if (ctx.jobs != nullptr) co_await or_return(ctx.jobs->check_free(*root));
  const NodeRef image(skip_implicit_filters(*root));
  const ImageSnapshot found = co_await or_return(co_await co_find_snapshot(*image, args.id, args.name));
  if (found.id.empty())
    co_return fail(ENOENT, "Snapshot with id '", args.id.value_or("null"), "' and name '",
                   args.name.value_or("null"), "' does not exist on device '", args.device, "'");
  if (image->read_only()) co_return fail(EINVAL, "Device '", args.device, "' is read only");
  const DrainedSection drained = co_await or_return(co_await ctx.graph.co_drain(lock, *image));
  co_await or_return(co_await image->co_snapshot_delete(found.id));
  co_return describe_snapshot(found);
}

}  // namespace rhea
