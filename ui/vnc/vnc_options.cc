// -vnc's argument.
#include <charconv>

#include "qom/object.h"
#include "ui/vnc/vnc_server.h"
#include "util/keyval.h"
#include "util/value_form.h"

namespace rhea {

namespace {

constexpr unsigned kFirstPort = 5900, kLastPort = 65535;

Result<unsigned> number(std::string_view text) {
  unsigned value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size())
    return fail(EINVAL, "can't convert to a number: ", text);
  if (value > kLastPort - kFirstPort) return fail(EINVAL, "port ", text, " out of range");
  return value;
}

Result<> parse_place(std::string_view text, std::string_view to, SocketEndpoint& address) {
  if (text.starts_with("unix:")) {
    address.kind = SocketEndpoint::Kind::kUnix;
    address.path = text.substr(5);
    if (address.path.empty()) return fail(EINVAL, "UNIX socket path is missing");
    return {};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail(EINVAL, "no vnc port specified");
  address.kind = SocketEndpoint::Kind::kInet;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = host;
  const unsigned display = TRY(number(text.substr(colon + 1)));
  address.port = std::to_string(kFirstPort + display);
  if (!to.empty()) address.last_port = static_cast<uint16_t>(kFirstPort + TRY(number(to)));
  return {};
}

Result<VncShare> parse_share(std::string_view text) {
  if (text == "ignore") return VncShare::kIgnore;
  if (text == "allow-exclusive") return VncShare::kAllowExclusive;
  if (text == "force-shared") return VncShare::kForceShared;
  return fail(EINVAL, "unknown vnc share= option");
}

Result<> parse_key(const std::string& key, const Json& value, VncOptions& out) {
  const std::string& text = value.as_string();
  if (key == "id") {
    out.id = text;
  } else if (key == "password") {
    out.password = TRY(property_bool(key, value, ValueForm::kKeyval));
  } else if (key == "share") {
    out.share = TRY(parse_share(text));
  } else if (key == "ipv4") {
    out.address.ipv4 = TRY(property_bool(key, value, ValueForm::kKeyval));
  } else if (key == "ipv6") {
    out.address.ipv6 = TRY(property_bool(key, value, ValueForm::kKeyval));
  } else if (key == "connections") {
    out.max_clients = static_cast<uint32_t>(TRY(property_uint(key, value, ValueForm::kKeyval, UINT32_MAX)));
  } else if (key == "display") {
    out.display = text;
  } else if (key == "head") {
    out.head = static_cast<int64_t>(TRY(property_uint(key, value, ValueForm::kKeyval, INT32_MAX)));
  } else if (key == "audiodev") {
    out.audiodev = text;
  } else if (key != "vnc" && key != "to") {
    constexpr std::string_view kKnown[] = {
        "websocket", "reverse",   "password-secret", "lock-key-sync", "key-delay-ms", "sasl",         "acl",
        "tls-creds", "tls-authz", "sasl-authz",      "lossy",         "non-adaptive", "power-control"};
    for (std::string_view known : kKnown)
      if (key == known) return fail(ENOTSUP, "VNC option '", key, "' is not available");
    return fail(EINVAL, "Invalid parameter '", key, "'");
  }
  return {};
}

}  // namespace

Result<std::optional<VncOptions>> parse_vnc_options(std::string_view text) {
  const Keyval kv = TRY(keyval_parse_flat(text, "vnc"));
  VncOptions out;
  std::string place, to;
  for (const auto& [key, value] : kv.values.as_object()) {
    TRY(parse_key(key, value, out));
    if (key == "vnc") place = value.as_string();
    if (key == "to") to = value.as_string();
  }
  if (place == "none") return std::optional<VncOptions>();
  TRY(parse_place(place, to, out.address));
  return std::optional<VncOptions>(std::move(out));
}

}  // namespace rhea
