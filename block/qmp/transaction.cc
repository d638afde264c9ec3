#include "block/qmp/transaction.h"

#include "qapi/qapi_commands_transaction.h"
#include "qapi/visit.h"

namespace rhea {

CoResult<> BlockAction::co_begin(BlockGraph&) {
  co_return Result<>();
}
CoResult<> BlockAction::co_abort(BlockGraph&, GraphWriteLock&) {
  co_return Result<>();
}
CoResult<> BlockAction::co_end(BlockGraph&) {
  co_return Result<>();
}

namespace {

class AbortAction final : public BlockAction {
 public:
  CoResult<> co_prepare(BlockGraph&, GraphWriteLock&) override {
    co_return fail(ECANCELED, "Transaction aborted using Abort action");
  }
};

std::unique_ptr<BlockAction> make_action(QmpContext& ctx, TransactionAction action,
                                         const std::shared_ptr<JobTransaction>& group) {
  auto bitmap = [&] { return std::move(std::get<BlockDirtyBitmapWrapper>(action.u).data); };
  switch (action.type) {
    case TransactionActionKind::kAbort:
      break;
    case TransactionActionKind::kBlockDirtyBitmapAdd:
      return make_bitmap_add(std::move(std::get<BlockDirtyBitmapAddWrapper>(action.u).data));
    case TransactionActionKind::kBlockDirtyBitmapRemove:
      return make_bitmap_remove(bitmap());
    case TransactionActionKind::kBlockDirtyBitmapClear:
      return make_bitmap_clear(bitmap());
    case TransactionActionKind::kBlockDirtyBitmapEnable:
      return make_bitmap_enable(bitmap(), true);
    case TransactionActionKind::kBlockDirtyBitmapDisable:
      return make_bitmap_enable(bitmap(), false);
    case TransactionActionKind::kBlockDirtyBitmapMerge:
      return make_bitmap_merge(std::move(std::get<BlockDirtyBitmapMergeWrapper>(action.u).data));
    case TransactionActionKind::kBlockdevSnapshot:
      return make_snapshot(ctx.jobs, std::move(std::get<BlockdevSnapshotWrapper>(action.u).data));
    case TransactionActionKind::kBlockdevSnapshotInternalSync:
      return make_internal_snapshot(ctx.jobs,
                                    std::move(std::get<BlockdevSnapshotInternalWrapper>(action.u).data));
    case TransactionActionKind::kBlockdevSnapshotSync:
      return make_snapshot_sync(ctx.jobs, std::move(std::get<BlockdevSnapshotSyncWrapper>(action.u).data));
    case TransactionActionKind::kBlockdevBackup:
      if (ctx.jobs == nullptr) break;
      return make_backup_action(*ctx.jobs, std::move(std::get<BlockdevBackupWrapper>(action.u).data), group);
    case TransactionActionKind::kDriveBackup:
      if (ctx.jobs == nullptr) break;
      return make_backup_action(*ctx.jobs, std::move(std::get<DriveBackupWrapper>(action.u).data), group);
  }
  return std::make_unique<AbortAction>();
}

CoResult<> co_make_changes(BlockGraph& graph, BlockActions& actions) {
  for (const auto& action : actions) co_await or_return(co_await action->co_begin(graph));
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  Result<> done;
  size_t prepared = 0;
  for (; prepared < actions.size(); ++prepared) {
    done = co_await actions[prepared]->co_prepare(graph, lock);
    if (!done) break;
  }
  if (done) {
    for (const auto& action : actions) action->commit();
    co_return done;
  }
  while (prepared > 0) std::ignore = co_await actions[--prepared]->co_abort(graph, lock);
  co_return done;
}

}  // namespace

CoResult<> co_run_actions(BlockGraph& graph, BlockActions actions) {
  Result<> done = co_await co_make_changes(graph, actions);
  if (done)
    for (const auto& action : actions) std::ignore = co_await action->co_end(graph);
  actions.clear();  // they hold nodes
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_await or_return(co_await graph.co_reap(lock));
  co_return done;
}

CoResult<> co_run_action(BlockGraph& graph, std::unique_ptr<BlockAction> action) {
  BlockActions one;
  one.push_back(std::move(action));
  co_return co_await co_run_actions(graph, std::move(one));
}

CoResult<> qmp_transaction(QmpContext& ctx, TransactionArgs args) {
  BlockActions actions;
  std::shared_ptr<JobTransaction> group;
  if (ctx.jobs != nullptr && args.properties &&
      args.properties->completion_mode == ActionCompletionMode::kGrouped)
    group = std::make_shared<JobTransaction>(*ctx.jobs);
  for (TransactionAction& action : args.actions) {
    const bool job = action.type == TransactionActionKind::kBlockdevBackup ||
                     action.type == TransactionActionKind::kDriveBackup;
    if (group != nullptr && !job && action.type != TransactionActionKind::kAbort)
      co_return fail(EINVAL, "Action '", to_string(action.type),
                     "' does not support transaction property completion-mode = grouped");
    actions.push_back(make_action(ctx, std::move(action), group));
  }
  co_return co_await co_run_actions(ctx.graph, std::move(actions));
}

}  // namespace rhea
