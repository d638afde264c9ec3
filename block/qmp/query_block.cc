#include "block/qmp/query_block.h"

#include "qapi/qapi_commands_block.h"
#include "qapi/visit.h"
#include "util/reversed.h"

namespace rhea {

namespace {

/// All that can be said without waiting. `writeback`: the cache mode of the drive the node is in.
BlockDeviceInfo describe(const BlockDriverState& node, bool writeback) {
  BlockDeviceInfo info;
  info.file = node.filename();
  info.node_name = node.name();
  info.ro = node.read_only();
  info.drv = node.driver().name;
  info.detect_zeroes =
      *from_string<BlockdevDetectZeroesOptions>(detect_zeroes_name(node.flags().detect_zeroes));
  info.image.filename = node.filename();
  info.image.format = node.driver().name;
  info.image.dirty_flag = false;
  info.image.virtual_size = static_cast<int64_t>(node.total_bytes());
  info.cache.writeback = writeback;
  info.cache.direct = node.flags().direct;
  info.cache.no_flush = node.flags().no_flush;
  return info;
}

CoResult<> co_add_allocated(NodeRef node, ImageInfo& image) {
  Result<uint64_t> bytes = co_await node->co_allocated_size();
  if (bytes) image.actual_size = static_cast<int64_t>(*bytes);
  co_return Result<>();
}

BlockInfo describe(const BlockBackend& drive) {
  BlockInfo info;
  info.device = drive.name();
  info.type = "unknown";
  info.removable = drive.has_removable_media();
  info.locked = drive.is_medium_locked();
  if (!drive.device_id_or_path().empty()) info.qdev = drive.device_id_or_path();
  if (drive.has_tray()) info.tray_open = drive.is_tray_open();
  if (drive.iostatus_enabled())
    info.io_status = from_string<BlockDeviceIoStatus>(io_status_name(drive.iostatus()));
  if (drive.device() != nullptr && drive.device()->eject_request_pending()) info.eject_requested = true;
  if (drive.node() != nullptr) info.inserted = describe(*drive.node(), drive.write_cache_enabled());
  return info;
}

}  // namespace

CoResult<std::vector<BlockInfo>> co_query_block(BlockGraph& graph) {
  // First everything that the main loop knows, in one go; then what the storage has to be asked for.
  std::vector<BlockInfo> drives;
  std::vector<NodeRef> nodes;
  for (const BlockBackend* b : graph.backends()) {
    if (b->name().empty() && !b->has_device()) continue;
    drives.push_back(describe(*b));
    nodes.push_back(b->node() != nullptr ? NodeRef(*b->node()) : NodeRef());
  }
  for (size_t i = 0; i < drives.size(); ++i)
    if (nodes[i]) std::ignore = co_await co_add_allocated(nodes[i], drives[i].inserted->image);
  co_return std::move(drives);
}

CoResult<std::vector<BlockDeviceInfo>> co_query_nodes(BlockGraph& graph) {
  std::vector<BlockDeviceInfo> infos;
  std::vector<NodeRef> nodes;
  for (BlockDriverState* node : reversed(graph.nodes())) {
    if (!node->is_open()) continue;
    infos.push_back(describe(*node, true));
    nodes.emplace_back(*node);
  }
  for (size_t i = 0; i < infos.size(); ++i) std::ignore = co_await co_add_allocated(nodes[i], infos[i].image);
  co_return std::move(infos);
}

CoResult<std::vector<BlockInfo>> qmp_query_block(QmpContext& ctx) {
  co_return co_await co_query_block(ctx.graph);
}

CoResult<std::vector<BlockDeviceInfo>> qmp_query_named_block_nodes(QmpContext& ctx,
                                                                   QueryNamedBlockNodesArgs) {
  // No image here has a backing file, so a flat answer is the same.
  co_return co_await co_query_nodes(ctx.graph);
}

}  // namespace rhea
