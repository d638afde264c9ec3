#include "block/graph/unused_nodes.h"

#include <set>

namespace rhea {

namespace {

/// The nodes below `node` that have names of their own to be removed by, nearest first.
void collect_below(const BlockDriverState& node, std::vector<std::string>& out, std::set<std::string>& seen) {
  for (const BdrvChild* child : node.children()) {
    if (!*child || !seen.insert(child->node().name()).second) continue;
    if (child->node().monitor_owned()) out.push_back(child->node().name());
    collect_below(child->node(), out, seen);
  }
}

}  // namespace

CoResult<> co_remove_unused_nodes(BlockGraph& graph, std::string name, std::vector<std::string>& removed) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  BlockDriverState* top = graph.find_node(name);
  if (top == nullptr || !top->is_open()) co_return Result<>();
  if (!top->parents().empty()) co_return fail(EBUSY, "Node '", name, "' is in use");
  if (!top->monitor_owned()) co_return fail(EPERM, "Node '", name, "' is not owned by the monitor");
  std::vector<std::string> names{name};
  std::set<std::string> seen;
  collect_below(*top, names, seen);
  for (const std::string& n : names) {
    BlockDriverState* node = graph.find_node(n);
    if (node == nullptr || !node->parents().empty()) continue;
    graph.set_monitor_owned(lock, *node, false);
    co_await or_return(co_await graph.co_reap(lock));
    removed.push_back(n);
  }
  co_return Result<>();
}

}  // namespace rhea
