// Actions: changes that a transaction makes together, and the commands of one action each.
#pragma once

#include <memory>
#include <vector>

#include "block/graph/block_graph.h"
#include "block/jobs/job.h"
#include "qapi/qapi_types_transaction.h"
#include "qapi/qmp_context.h"

namespace rhea {

/// One change. The steps are called in this order, each for all actions before the next; after a failure
/// those that were prepared are aborted, the last first. Main loop.
class BlockAction {
 public:
  virtual ~BlockAction() = default;
  /// What has to wait for storage before the graph is locked: images are made and opened.
  virtual CoResult<> co_begin(BlockGraph& graph);
  /// Makes the change. What it has done when it fails is undone by itself.
  virtual CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) = 0;
  /// It stays; cannot fail.
  virtual void commit() {}
  /// Undoes what co_prepare() did.
  virtual CoResult<> co_abort(BlockGraph& graph, GraphWriteLock& lock);
  /// After commit() and without the lock: what may fail without harm.
  virtual CoResult<> co_end(BlockGraph& graph);
};

using BlockActions = std::vector<std::unique_ptr<BlockAction>>;

/// All of them, or none and the error of the first that failed.
CoResult<> co_run_actions(BlockGraph& graph, BlockActions actions);
CoResult<> co_run_action(BlockGraph& graph, std::unique_ptr<BlockAction> action);

// What transactions are made of.
std::unique_ptr<BlockAction> make_bitmap_add(BlockDirtyBitmapAdd args);
std::unique_ptr<BlockAction> make_bitmap_remove(BlockDirtyBitmap args);
std::unique_ptr<BlockAction> make_bitmap_clear(BlockDirtyBitmap args);
std::unique_ptr<BlockAction> make_bitmap_enable(BlockDirtyBitmap args, bool enable);
std::unique_ptr<BlockAction> make_bitmap_merge(BlockDirtyBitmapMerge args);
std::unique_ptr<BlockAction> make_snapshot(JobSet* jobs, BlockdevSnapshot args);
std::unique_ptr<BlockAction> make_snapshot_sync(JobSet* jobs, BlockdevSnapshotSync args);
std::unique_ptr<BlockAction> make_internal_snapshot(JobSet* jobs, BlockdevSnapshotInternal args);
/// `group`: the jobs it ends together with; null: none.
std::unique_ptr<BlockAction> make_backup_action(JobSet& jobs, BlockdevBackup args,
                                                std::shared_ptr<JobTransaction> group);
std::unique_ptr<BlockAction> make_backup_action(JobSet& jobs, DriveBackup args,
                                                std::shared_ptr<JobTransaction> group);

}  // namespace rhea
