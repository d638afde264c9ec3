// QMP and HMP block_set_io_throttle.
#include "block/qmp/block_hmp.h"
#include "block/qmp/media.h"
#include "block/throttle/group.h"
#include "qapi/qapi_commands_block_stats.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

ThrottleConfig limits_of(const BlockIOThrottle& a) {
  using R = ThrottleRate;
  ThrottleConfig l;
  auto put = [&](R rate, int64_t avg, std::optional<int64_t> max, std::optional<int64_t> length) {
    l[rate] = {.avg = avg, .max = max.value_or(0), .burst_s = length.value_or(1)};
  };
  put(R::kBpsTotal, a.bps, a.bps_max, a.bps_max_length);
  put(R::kBpsRead, a.bps_rd, a.bps_rd_max, a.bps_rd_max_length);
  put(R::kBpsWrite, a.bps_wr, a.bps_wr_max, a.bps_wr_max_length);
  put(R::kIopsTotal, a.iops, a.iops_max, a.iops_max_length);
  put(R::kIopsRead, a.iops_rd, a.iops_rd_max, a.iops_rd_max_length);
  put(R::kIopsWrite, a.iops_wr, a.iops_wr_max, a.iops_wr_max_length);
  l.op_bytes = a.iops_size.value_or(0);
  return l;
}

CoResult<> hmp_block_set_io_throttle(HmpCall& call) {
  BlockIOThrottle args;
  const std::string device(call.str("device"));
  // A drive by its name, or a device.
  if (call.ctx.graph.find_backend(device) != nullptr)
    args.device = device;
  else
    args.id = device;
  args.bps = call.number("bps");
  args.bps_rd = call.number("bps_rd");
  args.bps_wr = call.number("bps_wr");
  args.iops = call.number("iops");
  args.iops_rd = call.number("iops_rd");
  args.iops_wr = call.number("iops_wr");
  auto work = qmp_block_set_io_throttle(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

}  // namespace

CoResult<> qmp_block_set_io_throttle(QmpContext& ctx, BlockIOThrottle args) {
  BlockGraph& graph = ctx.graph;
  const DriveRef ref(args.device, args.id);
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  BlockBackend* drive = co_await or_return(find_drive(graph, ref));
  if (drive->node() == nullptr) co_return fail(ENOMEDIUM, "Device has no medium");
  const ThrottleConfig limits = limits_of(args);
  co_await or_return(limits.check());
  DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *drive));
  drive = co_await or_return(find_drive(graph, ref));  // it may have gone meanwhile
  ThrottleMember& member = drive->throttle();
  if (!limits.any()) {
    member.leave();
    co_return Result<>();
  }
  const std::string group = args.group ? *args.group : ref.text();
  if (member.group() == nullptr || (args.group && member.group()->name() != group))
    member.join(get_throttle_group(group));
  member.group()->set_limits(limits);
  co_return Result<>();
}

void register_throttle_hmp(HmpRegistry& registry) {
  registry.add({.name = "block_set_io_throttle",
                .args = "device:B,bps:l,bps_rd:l,bps_wr:l,iops:l,iops_rd:l,iops_wr:l",
                .params = "device bps bps_rd bps_wr iops iops_rd iops_wr",
                .help = "change I/O throttle limits for a block drive",
                .co_run = hmp_block_set_io_throttle});
}

}  // namespace rhea
