// blockdev-backup, drive-backup; as commands and in transactions.
#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/image_ops.h"
#include "block/graph/open.h"
#include "block/jobs/backup_job.h"
#include "block/qmp/job_args.h"
#include "block/qmp/transaction.h"
#include "qapi/qapi_commands_job.h"
#include "qapi/visit.h"

namespace rhea {

Result<BlockDriverState*> root_node(const BlockGraph& graph, const std::string& device) {
  Result<BlockDriverState*> node = graph.lookup(device);
  if (node && !(*node)->is_inserted()) return fail(ENOMEDIUM, "Device has no medium");
  return node;
}

Result<BlockJobOptions> job_options(std::string id, bool auto_finalize, bool auto_dismiss, int64_t speed) {
  BlockJobOptions out;
  out.job.id = std::move(id);
  out.job.auto_finalize = auto_finalize;
  out.job.auto_dismiss = auto_dismiss;
  if (speed < 0) return fail(EINVAL, "Parameter 'speed' expects a non-negative value");
  out.speed = static_cast<uint64_t>(speed);
  return out;
}

namespace {

template <class Args>
Result<> take_bitmap(const Args& args, const BlockDriverState& source, BackupOptions& options) {
  std::optional<BitmapSyncMode> mode = args.bitmap_mode;
  const bool by_bitmap = args.sync == MirrorSyncMode::kIncremental || args.sync == MirrorSyncMode::kBitmap;
  if (by_bitmap && !args.bitmap)
    return fail(EINVAL, "must provide a valid bitmap name for '", to_string(args.sync), "' sync mode");
  if (args.sync == MirrorSyncMode::kIncremental) {
    if (mode && *mode != BitmapSyncMode::kOnSuccess)
      return fail(EINVAL, "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'");
    mode = BitmapSyncMode::kOnSuccess;
  }
  if (!args.bitmap) {
    if (mode) return fail(EINVAL, "Cannot specify bitmap sync mode without a bitmap");
    return {};
  }
  for (const auto& b : source.bitmaps().all())
    if (!b->name().empty() && b->name() == *args.bitmap) options.bitmap = b;
  if (options.bitmap == nullptr) return fail(ENOENT, "Bitmap '", *args.bitmap, "' could not be found");
  if (!mode) return fail(EINVAL, "Bitmap sync mode must be given when providing a bitmap");
  const DirtyBitmap& b = *options.bitmap;
  if (b.busy())
    return fail(EBUSY, "Bitmap '", b.name(), "' is currently in use by another operation and cannot be used");
  if (b.read_only() && *mode != BitmapSyncMode::kNever)
    return fail(EPERM, "Bitmap '", b.name(), "' is readonly and cannot be modified");
  if (b.inconsistent()) return fail(EINVAL, "Bitmap '", b.name(), "' is inconsistent and cannot be used");
  if (args.sync == MirrorSyncMode::kNone)
    return fail(EINVAL, "sync mode 'none' does not produce meaningful bitmap outputs");
  if (*mode == BitmapSyncMode::kNever && !by_bitmap)
    return fail(EINVAL, "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode '",
                to_string(args.sync), "'");
  options.bitmap_mode = *mode;
  return {};
}

BackupOptions::Sync backup_sync(MirrorSyncMode mode) {
  switch (mode) {
    case MirrorSyncMode::kTop:
      return BackupOptions::Sync::kTop;
    case MirrorSyncMode::kNone:
      return BackupOptions::Sync::kNone;
    case MirrorSyncMode::kIncremental:
    case MirrorSyncMode::kBitmap:
      return BackupOptions::Sync::kBitmap;
    case MirrorSyncMode::kFull:
      break;
  }
  return BackupOptions::Sync::kFull;
}

/// What both kinds do once there is a target.
template <class Args>
class BackupAction : public BlockAction {
 public:
  BackupAction(JobSet& jobs, Args args, std::shared_ptr<JobTransaction> group)
      : args_(std::move(args)), jobs_(jobs), group_(std::move(group)) {}
  CoResult<> co_prepare(BlockGraph&, GraphWriteLock& lock) override {
    BackupOptions options;
    options.sync = backup_sync(args_.sync);
    if (options.sync == BackupOptions::Sync::kTop && backing_chain_next(*source_) == nullptr)
      options.sync = BackupOptions::Sync::kFull;
    co_await or_return(take_bitmap(args_, *source_, options));
    options.block = co_await or_return(job_options(args_, *source_));
    options.block.job.transaction = group_;
    options.block.on_source_error = args_.on_source_error.value_or(BlockdevOnError::kReport);
    options.block.on_target_error = args_.on_target_error.value_or(BlockdevOnError::kReport);
    if (args_.filter_node_name) co_await or_return(source_->graph().check_node_name(*args_.filter_node_name));
    options.filter_name = args_.filter_node_name.value_or("");
    if (source_.get() == target_.get()) co_return fail(EINVAL, "Source and target cannot be the same");
    co_await or_return(jobs_.check_free(*source_));
    co_await or_return(jobs_.check_free(*target_));
    if (source_->total_bytes() != target_->total_bytes())
      co_return fail(EINVAL, "Source and target image have different sizes");
    job_ = co_await or_return(co_await co_make_backup(jobs_, lock, source_, target_, std::move(options)));
    co_return Result<>();
  }
  void commit() override { jobs_.start(*job_); }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock& lock) override {
    co_return co_await co_discard_backup(jobs_, lock, *job_);
  }

 protected:
  const Args args_;
  JobSet& jobs_;
  const std::shared_ptr<JobTransaction> group_;
  NodeRef source_, target_;
  std::shared_ptr<Job> job_;
};

class BlockdevBackupAction final : public BackupAction<BlockdevBackup> {
 public:
  using BackupAction::BackupAction;
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    source_ = NodeRef(*co_await or_return(root_node(graph, args_.device)));
    target_ = NodeRef(*co_await or_return(graph.lookup(args_.target)));
    co_return co_await BackupAction::co_prepare(graph, lock);
  }
};

class DriveBackupAction final : public BackupAction<DriveBackup> {
 public:
  using BackupAction::BackupAction;
  CoResult<> co_begin(BlockGraph& graph) override {
    source_ = NodeRef(*co_await or_return(root_node(graph, args_.device)));
    co_await or_return(jobs_.check_free(*source_));
    const bool existing = args_.mode == NewImageMode::kExisting;
    const std::string format =
        args_.format.value_or(existing ? "" : std::string(skip_filters(*source_).driver().name));
    BlockDriverState* below = args_.sync == MirrorSyncMode::kNone  ? source_.get()
                              : args_.sync == MirrorSyncMode::kTop ? cow_child(skip_filters(*source_))
                                                                   : nullptr;
    if (!existing) {
      OptionTree making;
      making.set("size", source_->total_bytes());
      if (below != nullptr) {
        making.set("backing_file", below->filename());
        making.set("backing_fmt", skip_filters(*below).driver().name);
      }
      co_await or_return(co_await co_create_image_file(graph, format, args_.target, std::move(making)));
    }
    OptionTree options;
    if (!format.empty()) options.set("driver", format);
    if (args_.sync == MirrorSyncMode::kNone && !existing && format != "raw") options.set("backing", Json());
    options.set("cache.direct", source_->flags().direct);
    options.set("cache.no-flush", source_->flags().no_flush);
    options.set("discard", source_->flags().unmap ? "unmap" : "ignore");
    OpenRequest request(std::move(options), args_.target);
    target_ = co_await or_return(co_await co_open_node(graph, std::move(request)));
    co_return Result<>();
  }
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    co_await or_return(co_await BackupAction::co_prepare(graph, lock));
    const bool overlay = args_.sync == MirrorSyncMode::kNone && args_.mode != NewImageMode::kExisting &&
                         target_->driver().supports_backing;
    if (!overlay) co_return Result<>();
    GraphEdit edit(graph);
    edit.attach(*target_, *source_, "backing", child_role::kCow | child_role::kData);
    Result<> done = co_await edit.co_commit(lock);
    if (!done) std::ignore = co_await BackupAction::co_abort(graph, lock);
    co_return done;
  }
};

}  // namespace

std::unique_ptr<BlockAction> make_backup_action(JobSet& jobs, BlockdevBackup args,
                                                std::shared_ptr<JobTransaction> group) {
  return std::make_unique<BlockdevBackupAction>(jobs, std::move(args), std::move(group));
}
std::unique_ptr<BlockAction> make_backup_action(JobSet& jobs, DriveBackup args,
                                                std::shared_ptr<JobTransaction> group) {
  return std::make_unique<DriveBackupAction>(jobs, std::move(args), std::move(group));
}

CoResult<> qmp_blockdev_backup(QmpContext& ctx, BlockdevBackup args) {
  if (ctx.jobs == nullptr) co_return fail(ENODEV, "This program has no jobs");
  co_return co_await co_run_action(ctx.graph, make_backup_action(*ctx.jobs, std::move(args), nullptr));
}
CoResult<> qmp_drive_backup(QmpContext& ctx, DriveBackup args) {
  if (ctx.jobs == nullptr) co_return fail(ENODEV, "This program has no jobs");
  co_return co_await co_run_action(ctx.graph, make_backup_action(*ctx.jobs, std::move(args), nullptr));
}

}  // namespace rhea
