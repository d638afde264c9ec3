// QMP query-blockstats and block-latency-histogram-set; "info blockstats".
#include "block/graph/chain.h"
#include "block/qmp/block_hmp.h"
#include "block/qmp/media.h"
#include "qapi/qapi_commands_block_stats.h"
#include "qapi/qmp_context.h"
#include "util/reversed.h"

namespace rhea {

namespace {

using Acct = BlockAccounting;

int64_t count(const std::atomic<uint64_t>& counter) {
  return static_cast<int64_t>(counter.load(std::memory_order_relaxed));
}

BlockDeviceTimedStats describe_interval(const Acct::Interval& i) {
  BlockDeviceTimedStats out;
  out.interval_length = i.seconds;
  auto put = [&](Acct::Kind kind, int64_t& min, int64_t& max, int64_t& average) {
    const TimedAverage::Summary& s = i.of[kind];
    min = static_cast<int64_t>(s.min);
    max = static_cast<int64_t>(s.max);
    average = static_cast<int64_t>(s.average);
    return s.elapsed_ns > 0 ? static_cast<double>(s.sum) / static_cast<double>(s.elapsed_ns) : 0.0;
  };
  out.avg_rd_queue_depth =
      put(Acct::kRead, out.min_rd_latency_ns, out.max_rd_latency_ns, out.avg_rd_latency_ns);
  out.avg_wr_queue_depth =
      put(Acct::kWrite, out.min_wr_latency_ns, out.max_wr_latency_ns, out.avg_wr_latency_ns);
  put(Acct::kFlush, out.min_flush_latency_ns, out.max_flush_latency_ns, out.avg_flush_latency_ns);
  return out;
}

std::optional<BlockLatencyHistogramInfo> describe_histogram(const Acct& a, Acct::Kind kind) {
  std::optional<LatencyHistogram> h = a.histogram(kind);
  if (!h) return std::nullopt;
  BlockLatencyHistogramInfo out;
  out.boundaries = std::move(h->bounds_ns);
  out.bins = std::move(h->bins);
  return out;
}

void add_drive_stats(BlockBackend& drive, BlockDeviceStats& s) {
  Acct& a = drive.accounting();
  const auto& rd = a.of[Acct::kRead];
  const auto& wr = a.of[Acct::kWrite];
  const auto& flush = a.of[Acct::kFlush];
  const auto& unmap = a.of[Acct::kUnmap];
  s.rd_bytes = count(rd.bytes);
  s.wr_bytes = count(wr.bytes);
  s.unmap_bytes = count(unmap.bytes);
  s.rd_operations = count(rd.operations);
  s.wr_operations = count(wr.operations);
  s.flush_operations = count(flush.operations);
  s.unmap_operations = count(unmap.operations);
  s.failed_rd_operations = count(rd.failed);
  s.failed_wr_operations = count(wr.failed);
  s.failed_flush_operations = count(flush.failed);
  s.failed_unmap_operations = count(unmap.failed);
  s.invalid_rd_operations = count(rd.invalid);
  s.invalid_wr_operations = count(wr.invalid);
  s.invalid_flush_operations = count(flush.invalid);
  s.invalid_unmap_operations = count(unmap.invalid);
  s.rd_merged = count(rd.merged);
  s.wr_merged = count(wr.merged);
  s.unmap_merged = count(unmap.merged);
  s.rd_total_time_ns = count(rd.total_ns);
  s.wr_total_time_ns = count(wr.total_ns);
  s.flush_total_time_ns = count(flush.total_ns);
  s.unmap_total_time_ns = count(unmap.total_ns);
  s.idle_time_ns = a.idle_ns();
  s.account_invalid = a.counts_invalid();
  s.account_failed = a.counts_failed();
  for (const Acct::Interval& i : a.intervals()) s.timed_stats.push_back(describe_interval(i));
  s.rd_latency_histogram = describe_histogram(a, Acct::kRead);
  s.wr_latency_histogram = describe_histogram(a, Acct::kWrite);
  s.flush_latency_histogram = describe_histogram(a, Acct::kFlush);
}

/// Where a node's own bytes are: its only child that has any.
const BdrvChild* storage_child(const BlockDriverState& node) {
  const BdrvChild* found = nullptr;
  for (const BdrvChild* c : node.children()) {
    if ((c->role() & child_role::kFiltered) != 0 && (c->role() & child_role::kPrimary) != 0) return c;
    if ((c->role() & child_role::kData) == 0) continue;
    if ((c->role() & child_role::kPrimary) != 0) return c;
    if (found != nullptr) return nullptr;
    found = c;
  }
  return found;
}

/// What shows through: a filter's child, or the backing file.
const BdrvChild* shown_child(const BlockDriverState& node) {
  if (!node.driver().is_filter) return node.backing() ? &node.backing() : nullptr;
  for (const BdrvChild* c : node.children())
    if ((c->role() & child_role::kFiltered) != 0) return c;
  return nullptr;
}

/// `of_drive`: what shows through is told too.
BlockStats describe_node(const BlockDriverState& node, bool of_drive) {
  BlockStats out;
  out.node_name = node.name();
  out.stats.wr_highest_offset = static_cast<int64_t>(node.highest_write_end());
  if (const auto discards = node.discard_stats()) {
    BlockStatsSpecificFile file;
    file.discard_nb_ok = discards->done;
    file.discard_nb_failed = discards->failed;
    file.discard_bytes_ok = discards->bytes;
    if (const auto driver = from_string<BlockdevDriver>(node.driver().name)) {
      BlockStatsSpecific specific;
      specific.driver = *driver;
      if (*driver == BlockdevDriver::kFile || *driver == BlockdevDriver::kHostDevice) {
        specific.u = file;
        out.driver_specific = specific;
      }
    }
  }
  if (const BdrvChild* c = storage_child(node)) out.parent = describe_node(c->node(), of_drive);
  if (const BdrvChild* c = shown_child(node); c != nullptr && of_drive)
    out.backing = describe_node(c->node(), true);
  return out;
}

std::vector<BlockStats> drive_stats(BlockGraph& graph) {
  std::vector<BlockStats> out;
  for (BlockBackend* b : graph.backends()) {
    if (b->name().empty() && !b->has_device()) continue;
    BlockStats s;
    if (b->node() != nullptr) s = describe_node(skip_implicit_filters(*b->node()), true);
    s.device = b->name();
    if (!b->device_id_or_path().empty()) s.qdev = b->device_id_or_path();
    add_drive_stats(*b, s.stats);
    out.push_back(std::move(s));
  }
  return out;
}

Result<> hmp_info_blockstats(HmpCall& call) {
  for (const BlockStats& drive : drive_stats(call.ctx.graph)) {
    const BlockDeviceStats& s = drive.stats;
    call.print(drive.device.value_or(""), ": rd_bytes=", s.rd_bytes, " wr_bytes=", s.wr_bytes,
               " rd_operations=", s.rd_operations, " wr_operations=", s.wr_operations,
               " flush_operations=", s.flush_operations, " wr_total_time_ns=", s.wr_total_time_ns,
               " rd_total_time_ns=", s.rd_total_time_ns, " flush_total_time_ns=", s.flush_total_time_ns,
               " rd_merged=", s.rd_merged, " wr_merged=", s.wr_merged,
               " idle_time_ns=", s.idle_time_ns.value_or(0), "\n");
  }
  return {};
}

}  // namespace

Result<std::vector<BlockStats>> qmp_query_blockstats(QmpContext& ctx, QueryBlockstatsArgs args) {
  if (!args.query_nodes.value_or(false)) return drive_stats(ctx.graph);
  std::vector<BlockStats> out;
  for (const BlockDriverState* node : ctx.graph.nodes())
    if (node->is_open()) out.push_back(describe_node(*node, false));
  return out;
}

Result<> qmp_block_latency_histogram_set(QmpContext& ctx, BlockLatencyHistogramSetArgs args) {
  BlockBackend* drive = TRY(find_drive(ctx.graph, DriveRef(args.id)));
  Acct& a = drive->accounting();
  struct Choice {
    Acct::Kind kind;
    const std::optional<std::vector<uint64_t>>& own;
    std::string_view name;
  };
  const Choice choices[] = {{Acct::kRead, args.boundaries_read, "read"},
                            {Acct::kWrite, args.boundaries_write, "write"},
                            {Acct::kFlush, args.boundaries_flush, "flush"}};
  if (!args.boundaries && !args.boundaries_read && !args.boundaries_write && !args.boundaries_flush) {
    a.clear_histograms();
    return {};
  }
  for (const Choice& c : choices) {
    const auto& bounds = c.own ? c.own : args.boundaries;
    if (bounds && !a.set_histogram(c.kind, *bounds))
      return fail(EINVAL, "Device '", args.id, "' set ", c.name, " boundaries fail");
  }
  return {};
}

void register_blockstats_hmp(HmpRegistry& registry) {
  registry.add(
      {.name = "info blockstats", .help = "show block device statistics", .run = hmp_info_blockstats});
}

}  // namespace rhea
