// HMP: drive_add, drive_del. Their messages go out as they are, without "Error: " before them.
#include "block/drive.h"
#include "block/qmp/block_hmp.h"
#include "qapi/option.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/qmp_context.h"
#include "util/keyval.h"

namespace rhea {

namespace {

Result<> print_error(HmpCall& call, const Error& error) {
  call.print(error.message(), "\n");
  if (!error.hint().empty()) call.print(error.hint(), "\n");
  return {};
}

/// "drive_add -n": a node, as blockdev-add makes it, from options in drive syntax.
CoResult<> co_add_node(HmpCall& call) {
  auto argument = parse_option(call.str("opts"), {}, OptionSyntax::kLax);
  if (!argument) co_return print_error(call, argument.error());
  auto options = from_json<BlockdevOptions>(std::move(argument->values), argument->form);
  if (!options) co_return print_error(call, options.error());
  auto work = qmp_blockdev_add(call.ctx, std::move(*options));
  const Result<> added = co_await std::move(work);
  co_return added ? Result<>() : print_error(call, added.error());
}

CoResult<> hmp_drive_add(HmpCall& call) {
  if (call.flag("nodes")) {
    auto work = co_add_node(call);
    co_return co_await std::move(work);
  }
  DriveSet* drives = call.ctx.drives;
  if (drives == nullptr) co_return fail(ENODEV, "This program has no drives");
  auto parsed = keyval_parse_flat(call.str("opts"));
  if (!parsed) co_return print_error(call, parsed.error());
  auto work = drives->co_add(std::move(parsed->values), DriveInterface::kIde);
  const Result<DriveInfo*> added = co_await std::move(work);
  if (!added) co_return print_error(call, added.error());
  if ((*added)->interface == DriveInterface::kNone) {
    call.print("OK\n");
    co_return Result<>();
  }
  call.print("Can't hot-add drive to type ", static_cast<int>((*added)->interface), "\n");
  auto undo = drives->co_forget(**added);
  co_return co_await std::move(undo);
}

CoResult<> hmp_drive_del(HmpCall& call) {
  const std::string id(call.str("id"));
  if (call.ctx.graph.find_backend(id) == nullptr && call.ctx.graph.find_node(id) != nullptr) {
    BlockdevDelArgs args;
    args.node_name = id;
    auto work = qmp_blockdev_del(call.ctx, std::move(args));
    const Result<> deleted = co_await std::move(work);
    co_return deleted ? Result<>() : print_error(call, deleted.error());
  }
  if (call.ctx.drives == nullptr) co_return fail(ENODEV, "This program has no drives");
  auto work = call.ctx.drives->co_delete(id);
  const Result<> deleted = co_await std::move(work);
  co_return deleted ? Result<>() : print_error(call, deleted.error());
}

}  // namespace

void register_drive_hmp(HmpRegistry& registry) {
  registry.add({.name = "drive_add",
                .args = "nodes:-n,pci_addr:s,opts:s",
                .params =
                    "[-n] [[<domain>:]<bus>:]<slot>\n[file=file][,if=type][,bus=n]\n[,unit=m][,media=d]"
                    "[,index=i]\n[,snapshot=on|off][,cache=on|off]\n[,readonly=on|off][,copy-on-read=on|"
                    "off]",
                .help = "add drive to PCI storage controller",
                .co_run = hmp_drive_add});
  registry.add({.name = "drive_del",
                .args = "id:B",
                .params = "device",
                .help = "remove host block device",
                .co_run = hmp_drive_del});
}

}  // namespace rhea
