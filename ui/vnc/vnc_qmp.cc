// What monitors ask and tell VNC servers.
#include <time.h>

#include <charconv>

#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_ui.h"
#include "ui/vnc/vnc_server.h"

namespace rhea {

namespace {

/// Null: the first.
VncServer* find_server(const std::optional<std::string>& id) {
  for (const auto& server : vnc_servers())
    if (!id || server->options().id == *id) return server.get();
  return nullptr;
}

Result<> set_vnc_password(const std::optional<std::string>& id, std::string_view password) {
  VncServer* server = find_server(id);
  Result<> set =
      server != nullptr ? server->set_password(password) : fail(ENODEV, "there is no such VNC server");
  if (!set) return fail(EINVAL, "Could not set password");
  return {};
}

Result<int64_t> parse_time(std::string_view text) {
  if (text == "now") return int64_t{0};
  if (text == "never") return INT64_MAX;
  const bool relative = text.starts_with('+');
  int64_t seconds = 0;
  const char* last = text.data() + text.size();
  auto [end, ec] = std::from_chars(text.data() + (relative ? 1 : 0), last, seconds);
  if (ec != std::errc() || end != last || seconds < 0 || seconds > INT64_MAX / 2)
    return fail(EINVAL, "Could not set password expire time");
  return relative ? int64_t{::time(nullptr)} + seconds : seconds;
}

Result<> expire_vnc_password(const std::optional<std::string>& id, std::string_view when) {
  const int64_t at = TRY(parse_time(when));
  VncServer* server = find_server(id);
  if (server == nullptr) return fail(ENODEV, "Could not set password expire time");
  server->expire_password(at);
  return {};
}

}  // namespace

Result<VncInfo> qmp_query_vnc(QmpContext&) {
  VncInfo info;
  const VncServer* server = find_server(std::nullopt);
  info.enabled = server != nullptr;
  if (server == nullptr) return info;
  VncServerInfo place = server->server_info();
  info.host = std::move(place.host);
  info.service = std::move(place.service);
  info.family = place.family;
  info.auth = std::move(place.auth);
  info.clients = server->clients();
  return info;
}

Result<std::vector<VncInfo2>> qmp_query_vnc_servers(QmpContext&) {
  std::vector<VncInfo2> out;
  for (const auto& server : vnc_servers()) {
    VncInfo2& info = out.emplace_back();
    info.id = server->options().id;
    info.auth = server->options().password ? VncPrimaryAuth::kVnc : VncPrimaryAuth::kNone;
    const VncServerInfo place = server->server_info();
    VncServerInfo2& one = info.server.emplace_back();
    one.host = place.host;
    one.service = place.service;
    one.family = place.family;
    one.websocket = place.websocket;
    one.auth = info.auth;
    info.clients = server->clients();
    if (!server->options().display.empty()) info.display = server->options().display;
  }
  return out;
}

Result<> qmp_change_vnc_password(QmpContext&, ChangeVncPasswordArgs args) {
  return set_vnc_password(std::nullopt, args.password);
}

Result<> qmp_set_password(QmpContext&, SetPasswordOptions args) {
  const auto* which = std::get_if<SetPasswordOptionsVnc>(&args.u);
  return set_vnc_password(which != nullptr ? which->display : std::nullopt, args.password);
}

Result<> qmp_expire_password(QmpContext&, ExpirePasswordOptions args) {
  const auto* which = std::get_if<ExpirePasswordOptionsVnc>(&args.u);
  return expire_vnc_password(which != nullptr ? which->display : std::nullopt, args.time);
}

namespace {

Result<> info_vnc(HmpCall& call) {
  if (vnc_servers().empty()) call.print("None\n");
  for (const auto& server : vnc_servers()) {
    const VncServerInfo place = server->server_info();
    const std::string_view auth = server->options().password ? "vnc" : "none";
    call.print(server->options().id, ":\n  Server: ", place.host, ":", place.service, " (",
               to_string(place.family), ")\n    Auth: ", auth, " (Sub: none)\n");
    const auto clients = server->clients();
    if (clients.empty()) call.print("  Client: none\n");
    for (const VncClientInfo& c : clients)
      call.print("  Client: ", c.host, ":", c.service, " (", to_string(c.family),
                 ")\n    x509_dname: none\n    sasl_username: none\n");
    call.print("  Auth: ", auth, " (Sub: none)\n");
  }
  return {};
}

Result<> check_protocol(HmpCall& call) {
  if (call.str("protocol") != "vnc") return fail(EINVAL, "invalid parameter value: ", call.str("protocol"));
  return {};
}

std::optional<std::string> chosen(HmpCall& call) {
  if (!call.has("display")) return std::nullopt;
  return std::string(call.str("display"));
}

Result<> hmp_set_password(HmpCall& call) {
  TRY(check_protocol(call));
  if (call.has("connected") && call.str("connected") != "keep")
    return fail(EINVAL, "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'");
  return set_vnc_password(chosen(call), call.str("password"));
}

Result<> hmp_expire_password(HmpCall& call) {
  TRY(check_protocol(call));
  return expire_vnc_password(chosen(call), call.str("time"));
}

constexpr HmpCommand kCommands[] = {
    {"info vnc", "", "", "show the vnc server status", info_vnc},
    {"set_password", "protocol:s,display:-ds,password:s,connected:s?",
     "protocol [-d display] password [action-if-connected]", "set a VNC password", hmp_set_password},
    {"expire_password", "protocol:s,display:-ds,time:s", "protocol [-d display] time",
     "set a VNC password expire-time", hmp_expire_password},
};

}  // namespace

void hmp_register_vnc(HmpRegistry& registry) {
  for (const HmpCommand& command : kCommands) registry.add(command);
}

}  // namespace rhea
