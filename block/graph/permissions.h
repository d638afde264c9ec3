// PermTransaction: gives a node and what lies below it the permissions their users need, or changes nothing.
#pragma once

#include <vector>

#include "block/graph/block_graph.h"

namespace rhea {

class PermTransaction {
 public:
  explicit PermTransaction(BlockGraph& graph) : graph_(graph) {}
  /// Checks for conflicts among users, then lets drivers prepare (they may wait), then commits all of it.
  CoResult<> co_run(GraphWriteLock& lock, BlockDriverState& start);
  /// The same for several nodes and what lies below them.
  CoResult<> co_run(GraphWriteLock& lock, std::vector<BlockDriverState*> starts);

 private:
  struct Step {
    NodeRef node;
    PermPair perms;
  };
  void collect(BlockDriverState& node);
  Result<> plan(BlockDriverState& node);
  CoResult<> co_prepare(size_t& prepared);
  void roll_back_edges();

  BlockGraph& graph_;
  std::vector<BlockDriverState*> order_;  ///< parents before children
  std::vector<Step> steps_;
  std::vector<std::pair<std::shared_ptr<BlockEdge>, PermPair>> changed_;  ///< edges and what they had
};

/// The conflict among a node's users, if there is one.
Result<> check_parent_conflicts(const BlockDriverState& node);

}  // namespace rhea
