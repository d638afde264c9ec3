// The QMP commands that offer nodes to other programs.
#include "block/export/nbd_server.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_block_export.h"
#include "qapi/visit.h"
#include "util/thread_pool.h"

namespace rhea {

namespace {

Result<SocketEndpoint> export_address(QmpContext& ctx, const SocketAddressLegacy& legacy, UniqueFd* passed) {
  const Json json = to_json(legacy);
  Json flat = *json.find("data");
  flat.set("type", *json.find("type"));
  SocketEndpoint address = TRY(SocketEndpoint::from_json(flat, "addr.data."));
  if (address.kind != SocketEndpoint::Kind::kFd) return address;
  if (ctx.session == nullptr)
    return fail(ENOENT, "File descriptor named '", address.path, "' has not been found");
  *passed = TRY(ctx.session->take_fd(address.path));
  address.fd = passed->get();
  return address;
}

NbdServer& nbd_server(QmpContext& ctx) {
  return *ctx.nbd;
}

Result<> begin_del(NbdServer& server, NbdExport* e, const std::string& name, BlockExportRemoveMode mode) {
  if (e == nullptr) return fail(ENOENT, "Export '", name, "' is not found");
  if (e->shutting_down) return fail(EBUSY, "Export '", name, "' is already shutting down");
  if (mode == BlockExportRemoveMode::kSafe && server.has_clients(*e))
    return Failure(Error(EBUSY, str_cat("export '", name, "' still in use"))
                       .with_hint("Use mode='hard' to force client disconnect\n"));
  server.begin_remove(*e);
  return {};
}

}  // namespace

CoResult<> qmp_nbd_server_start(QmpContext& ctx, NbdServerStartArgs args) {
  NbdServer& server = nbd_server(ctx);
  if (server.running()) co_return fail(EBUSY, "NBD server already running");
  UniqueFd passed;
  const SocketEndpoint address = co_await or_return(export_address(ctx, args.addr, &passed));
  constexpr int kMostWaiting = 16;
  auto listen = [&] { return socket_listen(address, kMostWaiting); };
  UniqueFd listener = co_await or_return(co_await thread_pool().co_run(listen));
  passed.release();
  if (server.running()) co_return fail(EBUSY, "NBD server already running");
  server.start({.max_connections = args.max_connections.value_or(0)});
  std::vector<UniqueFd> listeners;
  listeners.push_back(std::move(listener));
  server.listen(std::move(listeners));
  co_return Result<>();
}

CoResult<> qmp_nbd_server_stop(QmpContext& ctx) {
  NbdServer& server = nbd_server(ctx);
  if (!server.running()) co_return fail(EINVAL, "NBD server not running");
  co_return co_await server.co_stop();
}

CoResult<> qmp_nbd_server_add(QmpContext& ctx, NbdServerAddOptions args) {
  NbdServer& server = nbd_server(ctx);
  NbdExportConfig config;
  config.name = args.name.value_or(args.device);
  config.id = config.name;
  config.description = args.description.value_or("");
  BlockDriverState* node = co_await or_return(ctx.graph.lookup(args.device));
  config.writable = args.writable.value_or(false) && !node->read_only();
  const std::string id = config.id;
  co_await or_return(co_await server.co_add(*node, std::move(config)));
  // The drive may have gone, and the export with the server, while this waited.
  BlockBackend* drive = ctx.graph.find_backend(args.device);
  NbdExport* exported = server.find_id(id);
  if (drive != nullptr && exported != nullptr) server.remove_with_medium(*exported, *drive);
  co_return Result<>();
}

Result<> qmp_nbd_server_remove(QmpContext& ctx, NbdServerRemoveArgs args) {
  NbdServer& server = nbd_server(ctx);
  return begin_del(server, server.find_id(args.name), args.name,
                   args.mode.value_or(BlockExportRemoveMode::kSafe));
}

CoResult<> qmp_block_export_add(QmpContext& ctx, BlockExportOptions args) {
  NbdServer& server = nbd_server(ctx);
  const auto& nbd = std::get<BlockExportOptionsNbd>(args.u);
  NbdExportConfig config;
  config.id = args.id;
  config.name = nbd.name.value_or(args.node_name);
  config.description = nbd.description.value_or("");
  config.allocation_depth = nbd.allocation_depth.value_or(false);
  config.writable = args.writable.value_or(false);
  config.writethrough = args.writethrough.value_or(false);
  if (!is_well_formed_id(config.id)) co_return fail(EINVAL, "Invalid block export id");
  if (server.find_id(config.id) != nullptr)
    co_return fail(EEXIST, "Block export id '", config.id, "' is already in use");
  BlockDriverState* node = ctx.graph.find_node(args.node_name);
  if (node == nullptr || !node->is_open())
    co_return fail(ENOENT, "Cannot find device='' nor node-name='", args.node_name, "'");
  co_return co_await server.co_add(*node, std::move(config));
}

Result<> qmp_block_export_del(QmpContext& ctx, BlockExportDelArgs args) {
  NbdServer& server = nbd_server(ctx);
  return begin_del(server, server.find_id(args.id), args.id,
                   args.mode.value_or(BlockExportRemoveMode::kSafe));
}

Result<std::vector<BlockExportInfo>> qmp_query_block_exports(QmpContext& ctx) {
  std::vector<BlockExportInfo> out;
  for (const auto& e : nbd_server(ctx).exports()) {
    BlockExportInfo info;
    info.id = e->config().id;
    info.type = BlockExportType::kNbd;
    if (const BlockDriverState* node = e->backend().node()) info.node_name = node->name();
    info.shutting_down = e->shutting_down;
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace rhea
