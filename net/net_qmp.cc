// netdev_add, netdev_del, set_link, query-rx-filter.
#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "net/backends.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qapi_commands_net.h"
#include "util/aio_context.h"

namespace rhea {

namespace {

bool well_formed_net_id(std::string_view id) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (id.empty() || !letter(id[0])) return false;
  return std::ranges::all_of(
      id, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; });
}

/// A descriptor by the number this process knows it by, or the name a client has given it.
Result<UniqueFd> take_net_fd(QmpContext& ctx, const std::string& id, const std::string& text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 0) {
    if (::fcntl(number, F_GETFD) < 0) return fail_errno(errno, id, ": Can't use file descriptor ", number);
    return UniqueFd(number);
  }
  if (ctx.session == nullptr) return fail(EINVAL, "Parameter 'fd' expects a file descriptor");
  return ctx.session->take_fd(text);
}

Result<std::unique_ptr<NetBackend>> make_backend(QmpContext& ctx, const Netdev& args) {
  AioContext& loop = *AioContext::current();
  switch (args.type) {
    case NetClientDriver::kUser:
      return create_net_user(args.id, loop, std::get<NetdevUserOptions>(args.u));
    case NetClientDriver::kTap: {
      const auto& options = std::get<NetdevTapOptions>(args.u);
      UniqueFd fd;
      if (options.fd) fd = TRY(take_net_fd(ctx, args.id, *options.fd));
      return create_net_tap(args.id, loop, options, std::move(fd));
    }
    case NetClientDriver::kHubport:
      return create_net_hub_port(args.id, loop, std::get<NetdevHubPortOptions>(args.u).hubid);
    case NetClientDriver::kSocket: {
      const auto& options = std::get<NetdevSocketOptions>(args.u);
      if (!options.fd) return fail(EINVAL, "exactly one of listen=, connect=, mcast= or udp= is required");
      UniqueFd fd = TRY(take_net_fd(ctx, args.id, *options.fd));
      return create_net_socket(args.id, loop, std::move(fd));
    }
  }
  return fail(EINVAL, "there is no such kind of network");
}

NetDevice* find_card(std::string_view name) {
  for (NetDevice* card : net_set().devices())
    if (card->net_name() == name) return card;
  return nullptr;
}

}  // namespace

Result<> qmp_netdev_add(QmpContext& ctx, Netdev args) {
  if (!well_formed_net_id(args.id)) return fail(EINVAL, "Parameter 'id' expects an identifier");
  if (net_set().find(args.id) != nullptr) return fail(EEXIST, "Duplicate ID '", args.id, "'");
  return net_set().add(TRY(make_backend(ctx, args)));
}

Result<> qmp_netdev_del(QmpContext&, NetdevDelArgs args) {
  if (net_set().remove(args.id)) return {};
  return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", args.id, "' not found");
}

/// The cable has two ends: unplugged at one, the other sees it too.
Result<> qmp_set_link(QmpContext&, SetLinkArgs args) {
  NetBackend* const backend = net_set().find(args.name);
  NetDevice* const card = backend != nullptr ? backend->device() : find_card(args.name);
  if (backend == nullptr && card == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", args.name, "' not found");
  if (backend != nullptr) backend->set_link(args.up);
  if (card != nullptr) card->set_link(args.up);
  return {};
}

Result<std::vector<RxFilterInfo>> qmp_query_rx_filter(QmpContext&, QueryRxFilterArgs args) {
  std::vector<RxFilterInfo> out;
  if (args.name && net_set().find(*args.name) != nullptr)
    return fail(EINVAL, "net client(", *args.name, ") isn't a NIC");
  for (const NetDevice* card : net_set().devices()) {
    if (args.name && card->net_name() != *args.name) continue;
    if (std::optional<RxFilterInfo> info = card->rx_filter()) out.push_back(std::move(*info));
  }
  if (args.name && out.empty()) return fail(ENODEV, "invalid net client name: ", *args.name);
  return out;
}

}  // namespace rhea
