#include "block/graph/chain.h"

#include <algorithm>

#include "block/graph/block_graph.h"
#include "block/graph/io.h"

namespace rhea {

BlockDriverState* filtered_child(const BlockDriverState& node) {
  if (!node.driver().is_filter) return nullptr;
  for (const BdrvChild* c : node.children())
    if ((c->role() & child_role::kFiltered) != 0) return &c->node();
  return nullptr;
}

BlockDriverState* cow_child(const BlockDriverState& node) {
  if (node.driver().is_filter || !node.backing()) return nullptr;
  return &node.backing().node();
}

BlockDriverState* filter_or_cow_child(const BlockDriverState& node) {
  BlockDriverState* below = filtered_child(node);
  return below != nullptr ? below : cow_child(node);
}

BlockDriverState& skip_filters(BlockDriverState& node) {
  BlockDriverState* n = &node;
  while (BlockDriverState* below = filtered_child(*n)) n = below;
  return *n;
}

BlockDriverState& skip_implicit_filters(BlockDriverState& node) {
  BlockDriverState* n = &node;
  while (n->implicit()) {
    BlockDriverState* below = filtered_child(*n);
    if (below == nullptr) break;
    n = below;
  }
  return *n;
}

BlockDriverState* backing_chain_next(BlockDriverState& node) {
  BlockDriverState* below = cow_child(skip_filters(node));
  return below == nullptr ? nullptr : &skip_filters(*below);
}

BlockDriverState& chain_end(BlockDriverState& node) {
  BlockDriverState* n = &skip_filters(node);
  while (BlockDriverState* below = backing_chain_next(*n)) n = below;
  return *n;
}

bool chain_contains(BlockDriverState& top, const BlockDriverState& below) {
  for (const BlockDriverState* n = &top; n != nullptr; n = filter_or_cow_child(*n))
    if (n == &below) return true;
  return false;
}

BlockDriverState* chain_overlay(BlockDriverState& top, const BlockDriverState& below) {
  for (BlockDriverState* n = &top; n != nullptr; n = filter_or_cow_child(*n))
    if (filter_or_cow_child(*n) == &below) return n;
  return nullptr;
}

namespace {
/// The edge to what the chain goes on with; null at its end.
BlockEdge* chain_edge(const BlockDriverState& node) {
  const BlockDriverState* below = filter_or_cow_child(node);
  for (const BdrvChild* c : node.children())
    if (&c->node() == below && (c->role() & (child_role::kFiltered | child_role::kCow)) != 0)
      return c->edge().get();
  return nullptr;
}
}  // namespace

Result<> check_not_frozen(const BlockEdge& edge) {
  if (edge.frozen == 0) return {};
  return fail(EPERM, "Cannot change '", edge.name, "' link from '", edge.parent_node->name(), "' to '",
              edge.child->name(), "'");
}

/// The filter of a commit goes when that ends, whoever uses it.
constexpr std::string_view kNeverFrozen = "commit_top";

Result<> freeze_chain(BlockDriverState& top, const BlockDriverState* base) {
  std::vector<BlockEdge*> edges;
  for (BlockDriverState* n = &top; n != nullptr && n != base; n = filter_or_cow_child(*n)) {
    BlockEdge* edge = chain_edge(*n);
    if (edge == nullptr) break;
    TRY(check_not_frozen(*edge));
    if (edge->child->driver().name == kNeverFrozen)
      return fail(EPERM, "Cannot freeze '", edge->name, "' link to '", edge->child->name(), "'");
    edges.push_back(edge);
  }
  for (BlockEdge* edge : edges) ++edge->frozen;
  return {};
}

void unfreeze_chain(BlockDriverState& top, const BlockDriverState* base) {
  for (BlockDriverState* n = &top; n != nullptr && n != base; n = filter_or_cow_child(*n))
    if (BlockEdge* edge = chain_edge(*n); edge != nullptr && edge->frozen > 0) --edge->frozen;
}

bool is_reachable(const BlockDriverState& from, const BlockDriverState& to) {
  if (&from == &to) return true;
  return std::ranges::any_of(from.children(),
                             [&](const BdrvChild* c) { return is_reachable(c->node(), to); });
}

CoResult<BlockStatus> co_status_above(BlockDriverState& top, BlockDriverState* base, bool include_base,
                                      ByteRange range) {
  BlockStatus run;
  run.bytes = range.bytes;
  run.data = false;
  run.allocated = false;
  for (BlockDriverState* n = &top; n != nullptr; n = filter_or_cow_child(*n)) {
    const bool is_base = n == base;
    if (is_base && !include_base) break;
    if (n->driver().is_filter && filtered_child(*n) != nullptr) {
      if (is_base) break;
      continue;
    }
    const uint64_t end = n->total_bytes();
    if (range.offset >= end) {  // reads as zeroes here, and nobody below is asked
      if (n == &top) co_return BlockStatus{.bytes = 0, .data = false, .zero = true};
      run.zero = run.allocated = true;
      co_return run;
    }
    const NodeRef keep(*n);
    const ByteRange part(range.offset, run.bytes);
    BlockStatus s = co_await or_return(co_await co_node_block_status(*n, part));
    run.bytes = std::min(run.bytes, s.bytes);
    if (s.allocated) {
      s.bytes = run.bytes;
      co_return s;
    }
    if (is_base) break;
  }
  co_return run;
}

}  // namespace rhea
