// GraphEdit: several changes to the edges of the graph that take effect together or not at all.
#pragma once

#include <functional>
#include <vector>

#include "block/graph/block_graph.h"

namespace rhea {

/// Edges change at once, so that a later step sees them; permissions are settled by co_commit(). An edit that
/// is not committed is undone when it is destroyed. The caller holds the graph's lock and has drained the
/// nodes whose edges it moves. Main loop.
class GraphEdit {
 public:
  explicit GraphEdit(BlockGraph& graph) : graph_(graph) {}
  GraphEdit(const GraphEdit&) = delete;
  ~GraphEdit();

  /// `edge` leads to `to` from now on.
  void move(BlockEdge& edge, BlockDriverState& to);
  /// All users of `from` that `which` accepts (empty: all) use `to`. Users at or below `to` itself are left
  /// where they are.
  void move_users(BlockDriverState& from, BlockDriverState& to,
                  const std::function<bool(const BlockEdge&)>& which = {});
  /// `child` becomes the child `name` of `parent`: "file", "backing", or another.
  void attach(BlockDriverState& parent, BlockDriverState& child, std::string name, uint32_t role);
  /// `parent` has no child `name` any more.
  void detach(BlockDriverState& parent, std::string_view name);
  /// Takes everything back that was not committed. Permissions are for the caller to settle again.
  void undo();
  /// Settles permissions; on failure everything is as it was before the edit. `last` (may be empty) is called
  /// when nothing else can fail, and decides: its failure undoes the edit too.
  CoResult<> co_commit(GraphWriteLock& lock, std::function<CoResult<>()> last = {});

 private:
  struct Move {
    std::shared_ptr<BlockEdge> edge;
    NodeRef from;
  };
  struct Attached {
    NodeRef parent;
    std::shared_ptr<BlockEdge> edge;
  };
  struct Detached {
    NodeRef parent;
    BdrvChild child;
    size_t at;  ///< its place among the parent's others
  };
  enum class Kind : uint8_t { kMove, kAttach, kDetach };
  void point(BlockEdge& edge, BlockDriverState& to);
  BdrvChild* slot(BlockDriverState& parent, std::string_view name);
  void touch(BlockDriverState& node);

  BlockGraph& graph_;
  std::vector<Kind> done_;
  std::vector<Move> moves_;
  std::vector<Attached> attached_;
  std::vector<Detached> detached_;
  std::vector<NodeRef> touched_;
};

/// Makes a node of `driver` called `name` (empty: generated) that is in use by nobody and has no children
/// yet. It is open; co_finish_filter() gives it its length. For the filters of jobs, which have no options.
Result<NodeRef> make_filter_node(GraphWriteLock& lock, BlockGraph& graph, const BlockDriver& driver,
                                 std::string name, OpenFlags flags);

/// Puts `filter`, made by make_filter_node(), between `base` and its users; the child is called "backing" or
/// "file". Drains.
CoResult<> co_insert_filter(GraphWriteLock& lock, BlockDriverState& filter, BlockDriverState& base,
                            std::string child_name);
/// The users of `filter` use what it filters. Drains.
CoResult<> co_remove_filter(GraphWriteLock& lock, BlockDriverState& filter);

}  // namespace rhea
