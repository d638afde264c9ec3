// HMP commands about networks: netdev_add, netdev_del, set_link, info network.
#include "net/net.h"
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qapi_commands_net.h"
#include "qapi/visit.h"
#include "system/hmp_machine.h"
#include "system/option_handlers.h"

namespace rhea {

namespace {

Result<> hmp_netdev_add(HmpCall& call) {
  OptionValue netdev = TRY(parse_netdev(call.str("netdev")));
  return qmp_netdev_add(call.ctx, TRY(from_json<Netdev>(std::move(netdev.tree), netdev.form)));
}

Result<> hmp_netdev_del(HmpCall& call) {
  NetdevDelArgs args;
  args.id = std::string(call.str("id"));
  return qmp_netdev_del(call.ctx, std::move(args));
}

Result<> hmp_set_link(HmpCall& call) {
  SetLinkArgs args;
  args.name = std::string(call.str("name"));
  args.up = call.flag("up");
  return qmp_set_link(call.ctx, std::move(args));
}

void print_card(HmpCall& call, const NetDevice& card) {
  call.print(card.net_name(), ": index=0,type=nic,", card.net_description(), "\n");
}

void print_hub(HmpCall& call, int32_t hub) {
  call.print("hub ", hub, "\n");
  for (const auto& port : net_set().backends()) {
    if (port->hub() != hub) continue;
    call.print(" \\ ", port->id());
    if (port->device() == nullptr) {
      call.print("\n");
      continue;
    }
    call.print(": ");
    print_card(call, *port->device());
  }
}

/// Hubs with their ports, then back ends that nobody uses, then cards with theirs.
Result<> info_network(HmpCall& call) {
  const auto print_backend = [&](std::string_view before, const NetBackend& backend) {
    call.print(before, backend.id(), ": index=0,type=", backend.kind(), ",", backend.description(), "\n");
  };
  std::vector<int32_t> hubs;
  for (const auto& backend : net_set().backends())
    if (backend->hub() && std::ranges::find(hubs, *backend->hub()) == hubs.end())
      hubs.push_back(*backend->hub());
  for (const int32_t hub : hubs) print_hub(call, hub);
  for (const auto& backend : net_set().backends())
    if (!backend->hub() && backend->device() == nullptr) print_backend("", *backend);
  for (const NetDevice* card : net_set().devices()) {
    const NetBackend* const backend = card->net_backend();
    if (backend != nullptr && backend->hub()) continue;
    print_card(call, *card);
    if (backend != nullptr) print_backend(" \\ ", *backend);
  }
  return {};
}

constexpr HmpCommand kHmpNetCommands[] = {
    {.name = "netdev_add",
     .args = "netdev:S",
     .params = "[user|tap|socket|hubport],id=str[,prop=value][,...]",
     .help = "add host network device",
     .run = hmp_netdev_add},
    {.name = "netdev_del",
     .args = "id:s",
     .params = "id",
     .help = "remove host network device",
     .run = hmp_netdev_del},
    {.name = "set_link",
     .args = "name:s,up:b",
     .params = "name on|off",
     .help = "change the link status of a network adapter",
     .run = hmp_set_link},
    {.name = "info network", .help = "show the network state", .run = info_network},
};

}  // namespace

void register_net_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpNetCommands) registry.add(command);
}

}  // namespace rhea
