#include "block/graph/permissions.h"

#include <algorithm>

#include "util/reversed.h"

namespace rhea {

Result<> check_parent_conflicts(const BlockDriverState& node) {
  // Newest first, so that the user who came last is the one named as not allowing.
  for (const BlockEdge* strict : reversed(node.parents())) {
    for (const BlockEdge* user : reversed(node.parents())) {
      const uint32_t clash = user->perms.perm & ~strict->perms.shared;
      if (user == strict || clash == 0) continue;
      return fail(EPERM, "Permission conflict on node '", node.name(), "': permissions '", perm_names(clash),
                  "' are both required by ", user->parent_description(), " (uses node '", node.name(),
                  "' as '", user->name, "' child) and unshared by ", strict->parent_description(),
                  " (uses node '", node.name(), "' as '", strict->name, "' child).");
    }
  }
  return {};
}

/// Post-order, reversed by the caller: a node comes after all its parents that are reached.
void PermTransaction::collect(BlockDriverState& node) {
  if (std::ranges::find(order_, &node) != order_.end()) return;
  for (const BdrvChild* c : node.children()) collect(c->node());
  order_.push_back(&node);
}

Result<> PermTransaction::plan(BlockDriverState& node) {
  TRY(check_parent_conflicts(node));
  const PermPair sum = node.cumulative_perms();
  if ((sum.perm & (blk_perm::kWrite | blk_perm::kWriteUnchanged)) != 0 && node.read_only())
    return fail(EACCES, "Block node is read-only");
  steps_.push_back({NodeRef(node), sum});
  for (const BdrvChild* c : node.children()) {
    const PermPair wanted = node.child_perms(*c->edge(), sum);
    if (wanted == c->perms()) continue;
    changed_.emplace_back(c->edge(), c->perms());
    c->edge()->set_perms(wanted);
  }
  return {};
}

void PermTransaction::roll_back_edges() {
  for (auto& [edge, before] : reversed(changed_)) edge->set_perms(before);
}

CoResult<> PermTransaction::co_prepare(size_t& prepared) {
  for (prepared = 0; prepared < steps_.size(); ++prepared) {
    BlockDriverState& node = *steps_[prepared].node;
    if (!node.opened_) continue;
    PermPair perms = steps_[prepared].perms;
    if (node.flags().force_share) perms.shared = blk_perm::kAll;
    co_await or_return(co_await node.co_check_perm(perms));
  }
  co_return Result<>();
}

CoResult<> PermTransaction::co_run(GraphWriteLock& lock, BlockDriverState& start) {
  std::vector<BlockDriverState*> starts = {&start};
  co_return co_await co_run(lock, std::move(starts));
}

CoResult<> PermTransaction::co_run(GraphWriteLock& lock, std::vector<BlockDriverState*> starts) {
  for (BlockDriverState* start : starts) collect(*start);
  std::ranges::reverse(order_);
  Result<> planned;
  for (BlockDriverState* node : order_) {
    planned = plan(*node);
    if (!planned) {
      roll_back_edges();
      co_return planned;
    }
  }
  size_t prepared = 0;
  Result<> ready = co_await co_prepare(prepared);
  if (!ready) {
    // The one that failed has cleaned up after itself.
    for (size_t i = 0; i < prepared; ++i)
      if (steps_[i].node->opened_) co_await or_return(co_await steps_[i].node->co_abort_perm());
    roll_back_edges();
    co_return ready;
  }
  for (Step& step : steps_) {
    if (!step.node->opened_) continue;
    if (!step.node->perm_commit_needs_drain()) {
      co_await or_return(co_await step.node->co_commit_perm());
      continue;
    }
    DrainedSection drained = co_await or_return(co_await graph_.co_drain(lock, *step.node));
    co_await or_return(co_await step.node->co_commit_perm());
  }
  co_return Result<>();
}

}  // namespace rhea
