// block-set-write-threshold, change-backing-file.
#include "block/graph/chain.h"
#include "block/jobs/chain_jobs.h"
#include "qapi/qapi_commands_transaction.h"
#include "qapi/qapi_events_transaction.h"
#include "qapi/qmp_context.h"

namespace rhea {

Result<> qmp_block_set_write_threshold(QmpContext& ctx, BlockSetWriteThresholdArgs args) {
  BlockDriverState* node = ctx.graph.find_node(args.node_name);
  if (node == nullptr || !node->is_open()) return fail(ENOENT, "Device '", args.node_name, "' not found");
  if (!ctx.graph.write_threshold_exceeded)
    ctx.graph.write_threshold_exceeded = [](BlockDriverState& bs, uint64_t amount, uint64_t threshold) {
      qapi_event_send_block_write_threshold(bs.name(), amount, threshold);
    };
  node->set_write_threshold(args.write_threshold);
  return {};
}

CoResult<> qmp_change_backing_file(QmpContext& ctx, ChangeBackingFileArgs args) {
  BlockGraph& graph = ctx.graph;
  NodeRef top(*co_await or_return(graph.lookup(args.device)));
  BlockDriverState* image = graph.find_node(args.image_node_name);
  if (image == nullptr || !image->is_open())
    co_return fail(ENOENT, "Cannot find device='' nor node-name='", args.image_node_name, "'");
  if (ctx.jobs != nullptr) co_await or_return(ctx.jobs->check_free(*image));
  if (backing_chain_next(*image) == nullptr)
    co_return fail(EINVAL, "not allowing backing file change on an image without a backing file");
  if (!chain_contains(*top, *image))
    co_return fail(EINVAL, "'", args.device, "' and image file are not in the same chain");
  NodeRef held(*image);
  const NodeRef below(*backing_chain_next(*image));
  Result<> done = co_await co_write_backing_name(graph, std::move(held), below.get(), args.backing_file);
  if (!done)
    co_return fail_errno(done.error().errnum(), "Could not change backing file to '", args.backing_file, "'");
  co_return Result<>();
}

}  // namespace rhea
