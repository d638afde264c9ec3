#include "block/qmp/block_hmp.h"

#include "block/qmp/info_block.h"
#include "block/qmp/media.h"
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

CoResult<> co_hmp_eject(HmpCall& call) {
  DriveRef ref(std::string(call.str("device")), std::nullopt);
  co_return co_await co_eject(call.ctx.graph, std::move(ref), call.flag("force"));
}

Result<ChangeReadOnly> parse_read_only_mode(std::string_view text) {
  if (text.empty() || text == "retain") return ChangeReadOnly::kRetain;
  if (text == "read-only") return ChangeReadOnly::kReadOnly;
  if (text == "read-write") return ChangeReadOnly::kReadWrite;
  return fail(EINVAL, "invalid parameter value: ", text);
}

CoResult<> co_hmp_change(HmpCall& call) {
  const ChangeReadOnly mode = co_await or_return(parse_read_only_mode(call.str("read-only-mode")));
  std::optional<std::string> format;
  if (call.has("arg")) format = call.str("arg");
  DriveRef ref(std::string(call.str("device")), std::nullopt);
  ChangeMedium change(std::string(call.str("target")), std::move(format), call.flag("force"), mode);
  co_return co_await co_change_medium(call.ctx.graph, std::move(ref), std::move(change));
}

}  // namespace

void register_block_hmp(HmpRegistry& registry) {
  registry.add(
      {.name = "info block",
       .args = "nodes:-n,verbose:-v,device:B?",
       .params = "[-n] [-v] [device]",
       .help = "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
       .co_run = co_info_block});
  registry.add({.name = "eject",
                .args = "force:-f,device:B",
                .params = "[-f] device",
                .help = "eject a removable medium (use -f to force it)",
                .co_run = co_hmp_eject});
  registry.add({.name = "change",
                .args = "device:B,force:-f,target:F,arg:s?,read-only-mode:s?",
                .params = "device [-f] filename [format [read-only-mode]]",
                .help = "change a removable medium, optional format, use -f to force the operation",
                .co_run = co_hmp_change});
}

}  // namespace rhea
