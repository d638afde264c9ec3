// blockdev-add and blockdev-del.
#include "block/graph/block_graph.h"
#include "block/graph/open.h"
#include "block/graph/reopen.h"
#include "block/qmp/job_args.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/visit.h"

namespace rhea {

CoResult<> qmp_blockdev_add(QmpContext& ctx, BlockdevOptions args) {
  BlockGraph& graph = ctx.graph;
  if (!args.node_name) co_return fail(EINVAL, "'node-name' must be specified for the root node");
  OpenRequest request(OptionTree::from_json(to_json(args)));
  NodeRef node = co_await or_return(co_await co_open_node(graph, std::move(request)));
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  graph.set_monitor_owned(lock, *node, true);
  co_return Result<>();
}

CoResult<> qmp_blockdev_reopen(QmpContext& ctx, BlockdevReopenArgs args) {
  BlockGraph& graph = ctx.graph;
  std::vector<ReopenRequest> requests;
  for (const BlockdevOptions& options : args.options) {
    if (!options.node_name) co_return fail(EINVAL, "node-name not specified");
    BlockDriverState* node = graph.find_node(*options.node_name);
    if (node == nullptr || !node->is_open())
      co_return fail(ENOENT, "Failed to find node with node-name='", *options.node_name, "'");
    ReopenRequest request;
    request.node = NodeRef(*node);
    request.options = OptionTree::from_json(to_json(options));
    requests.push_back(std::move(request));
  }
  co_return co_await co_reopen(graph, std::move(requests), false);
}

namespace {

/// Who needs the node to stay although it is in no drive: an overlay, or a job.
Result<> check_unused(QmpContext& ctx, const BlockDriverState& node) {
  for (const BlockEdge* e : node.parents()) {
    if (e->parent_node == nullptr || (e->role & child_role::kCow) == 0) continue;
    return fail(EBUSY, "Node '", drive_or_node_name(node), "' is busy: node is used as backing hd of '",
                drive_or_node_name(*e->parent_node), "'");
  }
  return ctx.jobs != nullptr ? ctx.jobs->check_free(node) : Result<>();
}

}  // namespace

CoResult<> qmp_blockdev_del(QmpContext& ctx, BlockdevDelArgs args) {
  BlockGraph& graph = ctx.graph;
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  const std::string& name = args.node_name;
  BlockDriverState* node = graph.find_node(name);
  if (node == nullptr || !node->is_open())
    co_return fail(ENOENT, "Failed to find node with node-name='", name, "'");
  if (node->has_backend()) co_return fail(EBUSY, "Node ", name, " is in use");
  co_await or_return(check_unused(ctx, *node));
  if (!node->monitor_owned()) co_return fail(EPERM, "Node ", name, " is not owned by the monitor");
  if (!node->parents().empty()) co_return fail(EBUSY, "Block device ", name, " is in use");
  graph.set_monitor_owned(lock, *node, false);
  co_return co_await graph.co_reap(lock);
}

}  // namespace rhea
