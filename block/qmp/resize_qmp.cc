// block_resize.
#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "block/jobs/job.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

Result<BlockDriverState*> find_to_resize(const BlockGraph& graph, const BlockResizeArgs& args) {
  if (args.device) {
    if (const BlockBackend* drive = graph.find_backend(*args.device)) {
      if (drive->node() == nullptr) return fail(ENOMEDIUM, "Device '", *args.device, "' has no medium");
      return drive->node();
    }
  }
  if (args.node_name) {
    if (BlockDriverState* node = graph.find_node(*args.node_name)) return node;
  }
  return fail(ENODEV, "Cannot find device='", args.device.value_or(""), "' nor node-name='",
              args.node_name.value_or(""), "'");
}

/// The devices that have `node` as their medium.
void tell_resized(const BlockGraph& graph, const BlockDriverState& node) {
  for (const BlockBackend* b : graph.backends())
    if (b->node() == &node && b->has_device()) b->device()->resize_cb();
}

}  // namespace

CoResult<> qmp_block_resize(QmpContext& ctx, BlockResizeArgs args) {
  BlockGraph& graph = ctx.graph;
  Result<GraphWriteLock> locked = co_await graph.co_lock();
  GraphWriteLock lock = co_await or_return(std::move(locked));
  Result<BlockDriverState*> found = find_to_resize(graph, args);
  BlockDriverState* const node = co_await or_return(std::move(found));
  if (ctx.jobs != nullptr) co_await or_return(ctx.jobs->check_free(*node));
  if (args.size < 0) co_return fail(EINVAL, "Parameter 'size' expects a >0 size");
  BlockBackend resizer(graph, "", PermPair{.perm = blk_perm::kResize});
  Result<> inserted = co_await resizer.co_insert(lock, *node);
  co_await or_return(std::move(inserted));
  Result<> done;
  {
    Result<DrainedSection> section = co_await graph.co_drain(lock, *node);
    const DrainedSection drained = co_await or_return(std::move(section));
    done = co_await co_node_truncate(*node, static_cast<uint64_t>(args.size), Preallocation::kOff);
  }
  if (done) tell_resized(graph, *node);
  Result<> removed = co_await resizer.co_remove(lock);
  co_await or_return(std::move(removed));
  co_return done;
}

}  // namespace rhea
