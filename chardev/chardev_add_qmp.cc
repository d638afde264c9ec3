// QMP commands that make, change and remove character devices.
#include "chardev/char_options.h"
#include "chardev/chardev_set.h"
#include "chardev/socket_options.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_char.h"
#include "util/thread_pool.h"

namespace rhea {

namespace {

/// A member of the command's arguments as the option of -chardev that means the same.
std::string option_name(std::string_view member) {
  if (member == "out" || member == "device") return "path";
  return member == "in" ? "input-path" : std::string(member);
}

std::string option_text(const Json& value) {
  if (value.is_bool()) return value.as_bool() ? "on" : "off";
  return value.is_string() ? value.as_string() : value.dump();
}

/// A name given to getfd becomes the descriptor's number, which is the option's from then on.
Result<UniqueFd> take_named_fd(QmpContext& ctx, const std::string& name) {
  if (ctx.session == nullptr) return fail(ENOENT, "File descriptor named '", name, "' has not been found");
  return ctx.session->take_fd(name);
}

struct Request {
  Request() = default;
  CharOptions options;
  UniqueFd passed;  ///< what fd= names; it is the device's once that is made

  Result<> set_address(QmpContext& ctx, const Json& address) {
    const std::string& type = address.find("type")->as_string();
    const Json& data = *address.find("data");
    if (type != "fd") {
      for (const auto& [key, value] : data.as_object()) options.set(key, option_text(value));
      return {};
    }
    passed = TRY(take_named_fd(ctx, data.find("str")->as_string()));
    options.set("fd", str_cat(passed.get()));
    return {};
  }
  Result<> set_udp_address(std::string_view key, const Json& address) {
    if (address.find("type")->as_string() != "inet")
      return fail(EINVAL, "socket type unsupported for datagram");
    const Json& data = *address.find("data");
    const bool local = key == "local";
    options.set(local ? "localaddr" : "host", data.find("host")->as_string());
    options.set(local ? "localport" : "port", data.find("port")->as_string());
    for (const char* family : {"ipv4", "ipv6"})
      if (const Json* value = data.find(family); value != nullptr && !local)
        options.set(family, option_text(*value));
    return {};
  }
  /// A server unless it says otherwise, which waits for nobody.
  Result<> set_socket_defaults() {
    if (!options.has("server")) options.set("server", "on");
    CharOptions look = options;
    const bool server = TRY(look.take_bool("server", true));
    if (server && TRY(look.take_bool("wait", false)))
      return fail(ENOTSUP, "'wait' is only possible on the command line");
    if (server) options.set("wait", "off");
    return {};
  }
};

Result<Request> make_request(QmpContext& ctx, const ChardevBackend& backend) {
  const Json json = to_json(backend);
  Request request;
  request.options.set_backend(json.find("type")->as_string());
  for (const auto& [key, value] : json.find("data")->as_object()) {
    if (key == "addr")
      TRY(request.set_address(ctx, value));
    else if (key == "remote" || key == "local")
      TRY(request.set_udp_address(key, value));
    else
      request.options.set(option_name(key), option_text(value));
  }
  if (request.options.backend() == "socket") TRY(request.set_socket_defaults());
  return request;
}

/// Where a socket has to connect before it is made: connecting may take long.
Result<std::optional<SocketEndpoint>> client_address(const CharOptions& options) {
  CharOptions look = options;
  if (look.backend() != "socket" || TRY(look.take_bool("server", false))) return std::nullopt;
  if (TRY(look.take_number("reconnect", 0)) != 0) return std::nullopt;
  if (look.has("wait")) return std::nullopt;  // an error of which creation tells
  SocketEndpoint address = TRY(take_socket_address(look));
  if (address.kind == SocketEndpoint::Kind::kFd) return std::nullopt;
  return address;
}

CoResult<UniqueFd> co_connect(const CharOptions& options) {
  const std::optional<SocketEndpoint> address = co_await or_return(client_address(options));
  if (!address) co_return UniqueFd();
  auto work = [&] { return socket_connect(*address); };
  co_return co_await thread_pool().co_run(work);
}

ChardevReturn made_reply(const Chardev& chardev) {
  ChardevReturn out;
  const std::string name = chardev.filename();
  if (name.starts_with("pty:")) out.pty = name.substr(4);
  return out;
}

Result<> check_new_id(QmpContext& ctx, const std::string& id) {
  if (ctx.chardevs.find(id) != nullptr) return fail(EEXIST, "Chardev with id '", id, "' already exists");
  if (id.empty() || id.find('/') != std::string::npos)
    return fail(EINVAL, "Parameter 'id' expects an identifier");
  return {};
}

std::string failed_to_add(std::string_view id) {
  return str_cat("Failed to add chardev '", id, "': ");
}

Result<> check_changeable(QmpContext& ctx, const std::string& id) {
  const Chardev* chardev = ctx.chardevs.find(id);
  if (chardev == nullptr) return fail(ENOENT, "Chardev '", id, "' does not exist");
  if (chardev->is_mux()) return fail(ENOTSUP, "Mux device hotswap not supported yet");
  return chardev->check_hotswap();
}

enum class How : uint8_t { kAdd, kChange };

CoResult<ChardevReturn> co_make(QmpContext& ctx, std::string id, Request request, How how) {
  auto connecting = co_connect(request.options);
  UniqueFd connected = co_await or_return(co_await connecting);
  if (how == How::kAdd) co_await or_return(check_new_id(ctx, id));  // it may have come meanwhile
  Result<Chardev*> made = how == How::kAdd
                              ? ctx.chardevs.create(id, std::move(request.options), std::move(connected))
                              : ctx.chardevs.change(id, std::move(request.options), std::move(connected));
  const Chardev* chardev = co_await or_return(std::move(made));
  request.passed.release();
  co_return made_reply(*chardev);
}

}  // namespace

CoResult<ChardevReturn> qmp_chardev_add(QmpContext& ctx, ChardevAddArgs args) {
  co_await or_return(check_new_id(ctx, args.id));
  Result<Request> request = make_request(ctx, args.backend);
  if (!request) co_return Failure(std::move(request).error().prepend(failed_to_add(args.id)));
  auto work = co_make(ctx, args.id, std::move(*request), How::kAdd);
  Result<ChardevReturn> made = co_await work;
  if (!made) co_return Failure(std::move(made).error().prepend(failed_to_add(args.id)));
  co_return made;
}

CoResult<ChardevReturn> qmp_chardev_change(QmpContext& ctx, ChardevChangeArgs args) {
  co_await or_return(check_changeable(ctx, args.id));
  Request request = co_await or_return(make_request(ctx, args.backend));
  auto work = co_make(ctx, args.id, std::move(request), How::kChange);
  co_return co_await work;
}

}  // namespace rhea
