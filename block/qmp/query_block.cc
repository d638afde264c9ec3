#include "block/qmp/query_block.h"

#include "block/graph/chain.h"
#include "block/graph/image_ops.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/visit.h"
#include "util/reversed.h"

namespace rhea {

SnapshotInfo describe_snapshot(const ImageSnapshot& s) {
  constexpr uint64_t kNsPerS = 1'000'000'000;
  SnapshotInfo out;
  out.id = s.id;
  out.name = s.name;
  out.vm_state_size = static_cast<int64_t>(s.vm_state_bytes);
  out.date_sec = s.date_s;
  out.date_nsec = s.date_ns;
  out.vm_clock_sec = static_cast<int64_t>(s.vm_clock_ns / kNsPerS);
  out.vm_clock_nsec = static_cast<int64_t>(s.vm_clock_ns % kNsPerS);
  if (s.icount != UINT64_MAX) out.icount = static_cast<int64_t>(s.icount);
  return out;
}

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
  info.write_threshold = static_cast<int64_t>(node.write_threshold());
  for (const auto& b : reversed(node.bitmaps().all())) {
    if (!info.dirty_bitmaps) info.dirty_bitmaps.emplace();
    BlockDirtyInfo dirty;
    if (!b->name().empty()) dirty.name = b->name();
    dirty.count = static_cast<int64_t>(b->dirty_bytes());
    dirty.granularity = static_cast<uint32_t>(b->granularity());
    dirty.recording = b->recording();
    dirty.busy = b->busy();
    dirty.persistent = b->persistent();
    if (b->inconsistent()) dirty.inconsistent = true;
    info.dirty_bitmaps->push_back(std::move(dirty));
  }
  if (node.backing() && !node.driver().is_filter) {
    info.backing_file =
        node.backing_name().file.empty() ? node.backing().node().filename() : node.backing_name().file;
    for (const BlockDriverState* n = &node; n->backing(); n = &n->backing().node()) ++info.backing_file_depth;
  }
  return info;
}

void add_limits(const ThrottleGroup& group, BlockDeviceInfo& info) {
  using R = ThrottleRate;
  const ThrottleConfig l = group.limits();
  auto put = [&](R rate, int64_t& avg, std::optional<int64_t>& max, std::optional<int64_t>& length) {
    avg = l[rate].avg;
    if (l[rate].max == 0) return;
    max = l[rate].max;
    length = l[rate].burst_s;
  };
  put(R::kBpsTotal, info.bps, info.bps_max, info.bps_max_length);
  put(R::kBpsRead, info.bps_rd, info.bps_rd_max, info.bps_rd_max_length);
  put(R::kBpsWrite, info.bps_wr, info.bps_wr_max, info.bps_wr_max_length);
  put(R::kIopsTotal, info.iops, info.iops_max, info.iops_max_length);
  put(R::kIopsRead, info.iops_rd, info.iops_rd_max, info.iops_rd_max_length);
  put(R::kIopsWrite, info.iops_wr, info.iops_wr_max, info.iops_wr_max_length);
  if (l.op_bytes != 0) info.iops_size = l.op_bytes;
  info.group = group.name();
}

/// What has to be read from the image itself, and the same for those below it.
CoResult<> co_add_image(NodeRef node, ImageInfo& image) {
  Result<uint64_t> bytes = co_await node->co_allocated_size();
  if (bytes) image.actual_size = static_cast<int64_t>(*bytes);
  Result<ImageDetails> details = co_await node->co_details();
  if (details) {
    if (details->cluster_bytes != 0) {
      image.cluster_size = static_cast<int64_t>(details->cluster_bytes);
      image.dirty_flag = details->dirty;
    }
    if (details->encrypted) image.encrypted = true;
    if (details->compressed) image.compressed = true;
    if (!details->snapshots.empty()) {
      image.snapshots.emplace();
      for (const ImageSnapshot& s : details->snapshots) image.snapshots->push_back(describe_snapshot(s));
    }
    if (!details->specific.is_null()) {
      Result<ImageInfoSpecific> specific = from_json<ImageInfoSpecific>(details->specific);
      if (specific) image.format_specific = std::move(*specific);
    }
  }
  const BackingName& name = node->backing_name();
  if (!name.file.empty()) {
    image.backing_filename = name.file;
    if (!name.format.empty()) image.backing_filename_format = name.format;
  }
  if (!node->backing()) co_return Result<>();
  const NodeRef below(node->backing().node());
  if (!name.file.empty()) image.full_backing_filename = below->filename();
  ImageInfo info;
  info.filename = below->filename();
  info.format = below->driver().name;
  info.virtual_size = static_cast<int64_t>(below->total_bytes());
  co_await or_return(co_await co_add_image(below, info));
  image.backing_image = std::move(info);
  co_return Result<>();
}

BlockInfo describe(BlockBackend& drive) {
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
  if (!drive.unplug.state.empty()) info.unplug = from_string<UnplugState>(drive.unplug.state);
  if (drive.node() == nullptr) return info;
  info.inserted = describe(skip_implicit_filters(*drive.node()), drive.write_cache_enabled());
  if (const auto& group = drive.throttle().group()) add_limits(*group, *info.inserted);
  return info;
}

}  // namespace

CoResult<std::vector<BlockInfo>> co_query_block(BlockGraph& graph) {
  // First everything that the main loop knows, in one go; then what the storage has to be asked for.
  std::vector<BlockInfo> drives;
  std::vector<NodeRef> nodes;
  for (BlockBackend* b : graph.backends()) {
    if (b->name().empty() && !b->has_device()) continue;
    drives.push_back(describe(*b));
    nodes.push_back(b->node() != nullptr ? NodeRef(skip_implicit_filters(*b->node())) : NodeRef());
  }
  for (size_t i = 0; i < drives.size(); ++i)
    if (nodes[i]) std::ignore = co_await co_add_image(nodes[i], drives[i].inserted->image);
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
  for (size_t i = 0; i < infos.size(); ++i) std::ignore = co_await co_add_image(nodes[i], infos[i].image);
  co_return std::move(infos);
}

CoResult<std::vector<BlockInfo>> qmp_query_block(QmpContext& ctx) {
  co_return co_await co_query_block(ctx.graph);
}

CoResult<std::vector<BlockDeviceInfo>> qmp_query_named_block_nodes(QmpContext& ctx,
                                                                   QueryNamedBlockNodesArgs args) {
  std::vector<BlockDeviceInfo> nodes = co_await or_return(co_await co_query_nodes(ctx.graph));
  if (args.flat.value_or(false))
    for (BlockDeviceInfo& n : nodes) n.image.backing_image.reset();
  co_return std::move(nodes);
}

}  // namespace rhea
