// The QMP commands that open and close trays and change media.
#include "block/qmp/media.h"
#include "qapi/qapi_commands_block.h"

namespace rhea {

Result<> qmp_blockdev_open_tray(QmpContext& ctx, BlockdevOpenTrayArgs args) {
  const DriveRef ref(args.device, args.id);
  // A locked tray that waits for the guest is a success too; DEVICE_TRAY_MOVED and query-block tell them
  // apart.
  std::ignore = TRY(open_tray(ctx.graph, ref, args.force.value_or(false)));
  return {};
}

CoResult<> qmp_blockdev_close_tray(QmpContext& ctx, BlockdevCloseTrayArgs args) {
  const DriveRef ref(args.device, args.id);
  co_return close_tray(ctx.graph, ref);
}

CoResult<> qmp_blockdev_remove_medium(QmpContext& ctx, BlockdevRemoveMediumArgs args) {
  DriveRef ref(args.id);
  co_return co_await co_remove_medium(ctx.graph, std::move(ref));
}

CoResult<> qmp_blockdev_insert_medium(QmpContext& ctx, BlockdevInsertMediumArgs args) {
  DriveRef ref(args.id);
  std::ignore = co_await or_return(find_drive(ctx.graph, ref));
  BlockDriverState* node = ctx.graph.find_node(args.node_name);
  if (node == nullptr || !node->is_open()) co_return fail(ENOENT, "Node '", args.node_name, "' not found");
  if (node->has_backend()) co_return fail(EBUSY, "Node '", args.node_name, "' is already in use");
  NodeRef held(*node);
  co_return co_await co_insert_medium(ctx.graph, std::move(ref), std::move(held));
}

CoResult<> qmp_eject(QmpContext& ctx, EjectArgs args) {
  DriveRef ref(args.device, args.id);
  co_return co_await co_eject(ctx.graph, std::move(ref), args.force.value_or(false));
}

CoResult<> qmp_blockdev_change_medium(QmpContext& ctx, BlockdevChangeMediumArgs args) {
  const auto mode = args.read_only_mode.value_or(BlockdevChangeReadOnlyMode::kRetain);
  const ChangeReadOnly read_only = mode == BlockdevChangeReadOnlyMode::kReadOnly ? ChangeReadOnly::kReadOnly
                                   : mode == BlockdevChangeReadOnlyMode::kReadWrite
                                       ? ChangeReadOnly::kReadWrite
                                       : ChangeReadOnly::kRetain;
  DriveRef ref(args.device, args.id);
  ChangeMedium change(args.filename, args.format, args.force.value_or(false), read_only);
  co_return co_await co_change_medium(ctx.graph, std::move(ref), std::move(change));
}

}  // namespace rhea
