#include "block/qmp/block_hmp.h"

#include "block/qmp/info_block.h"
#include "block/qmp/query_block.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

CoResult<> co_info_block(HmpCall& call) {
  InfoBlockRequest request;
  request.name = call.str("device");
  request.verbose = call.flag("verbose");
  request.nodes = call.flag("nodes");
  const std::vector<BlockInfo> drives = co_await or_return(co_await co_query_block(call.ctx.graph));
  const std::vector<BlockDeviceInfo> nodes = co_await or_return(co_await co_query_nodes(call.ctx.graph));
  call.out += info_block_text(request, drives, nodes);
  co_return Result<>();
}

}  // namespace

void register_block_hmp(HmpRegistry& registry) {
  register_drive_hmp(registry);
  register_job_hmp(registry);
  register_blockstats_hmp(registry);
  register_throttle_hmp(registry);
  register_qemu_io_hmp(registry);
  registry.add(
      {.name = "info block",
       .args = "nodes:-n,verbose:-v,device:B?",
       .params = "[-n] [-v] [device]",
       .help = "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
       .co_run = co_info_block});
}

}  // namespace rhea
