#include "block/drivers/nbd/options.h"

#include "block/export/nbd_protocol.h"

namespace rhea {

namespace {

Result<SocketEndpoint> take_nbd_address(OptionTree& options) {
  if (options.has_below("server")) return SocketEndpoint::from_json(options.extract("server").to_json(), "");
  SocketEndpoint a;
  const auto path = TRY(options.take_string("path")), host = TRY(options.take_string("host"));
  if (path && host) return fail(EINVAL, "path and host may not be used at the same time");
  if (path) {
    if (options.has("port")) return fail(EINVAL, "port may not be used without host");
    a.path = *path;
    return a;
  }
  if (!host) return fail(EINVAL, "NBD server address missing");
  const Json* port = options.get("port");
  a.kind = SocketEndpoint::Kind::kInet;
  a.host = *host;
  if (port != nullptr && port->is_uint()) {
    a.port = str_cat(*TRY(options.take_number("port")));
  } else {
    a.port = TRY(options.take_string("port")).value_or(str_cat(nbd::kDefaultPort));
  }
  return a;
}

/// "%2f" is "/"; false if a sign is cut off or no hexadecimal digits follow.
bool percent_decode(std::string_view text, std::string& out) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return false;
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return true;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~/:").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      str_append(out, "%", hex(static_cast<uint8_t>(c), 2));
  }
  return out;
}

/// "HOST", "HOST:PORT", "[V6]:PORT"; false if it is none.
bool split_host_port(std::string_view text, std::string& host, std::string& port) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text[0] != ':') return false;
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon);
  }
  port = text.empty() ? "" : text.substr(1);
  return true;
}

bool parse_nbd_uri(std::string_view uri, OptionTree& options) {
  const auto from = OptionOrigin::kFilename;
  const size_t scheme_end = uri.find("://");
  const std::string_view scheme = uri.substr(0, scheme_end);
  const bool is_unix = scheme == "nbd+unix";
  if (!is_unix && scheme != "nbd" && scheme != "nbd+tcp") return false;
  uri.remove_prefix(scheme_end + 3);
  if (const size_t hash = uri.find('#'); hash != std::string_view::npos) uri = uri.substr(0, hash);
  const size_t question = uri.find('?');
  const std::string_view query = question == std::string_view::npos ? "" : uri.substr(question + 1);
  uri = uri.substr(0, question);
  const size_t slash = uri.find('/');
  const std::string_view authority = uri.substr(0, slash);
  std::string name;
  if (slash != std::string_view::npos && !percent_decode(uri.substr(slash + 1), name)) return false;
  if (!name.empty()) options.set("export", name, from);
  if (is_unix) {
    std::string path;
    if (!authority.empty() || !query.starts_with("socket=") || query.find('&') != std::string_view::npos)
      return false;
    if (!percent_decode(query.substr(7), path)) return false;
    options.set("server.type", "unix", from);
    options.set("server.path", path, from);
    return true;
  }
  std::string host, port;
  if (authority.empty() || !query.empty() || !split_host_port(authority, host, port) || host.empty())
    return false;
  options.set("server.type", "inet", from);
  options.set("server.host", host, from);
  options.set("server.port", port.empty() ? str_cat(nbd::kDefaultPort) : port, from);
  return true;
}

}  // namespace

Result<NbdOptions> NbdOptions::take(OptionTree& options) {
  NbdOptions o;
  o.address = TRY(take_nbd_address(options));
  if (o.address.kind == SocketEndpoint::Kind::kFd)
    return fail(ENOTSUP, "NBD clients cannot use a descriptor that was handed over");
  o.export_name = TRY(options.take_string("export")).value_or("");
  if (o.export_name.size() > nbd::kMaxString) return fail(EINVAL, "export name too long to send to server");
  if (const auto bitmap = TRY(options.take_string("x-dirty-bitmap"))) {
    if (bitmap->size() > nbd::kMaxString)
      return fail(EINVAL, "x-dirty-bitmap name too long to send to server");
    o.context = *bitmap;
  }
  o.reconnect_delay_s = TRY(options.take_number("reconnect-delay")).value_or(0);
  o.open_timeout_s = TRY(options.take_number("open-timeout")).value_or(0);
  if (o.reconnect_delay_s > UINT32_MAX) return fail(EINVAL, "Parameter 'reconnect-delay' expects uint32_t");
  if (o.open_timeout_s > UINT32_MAX) return fail(EINVAL, "Parameter 'open-timeout' expects uint32_t");
  return o;
}

Result<> parse_nbd_filename(const std::string& filename, OptionTree& options) {
  for (const char* key : {"host", "port", "path"})
    if (options.has(key))
      return fail(EINVAL, "host/port/path and file names may not be specified at the same time");
  const auto from = OptionOrigin::kFilename;
  if (filename.find("://") != std::string::npos) {
    if (!parse_nbd_uri(filename, options)) return fail(EINVAL, "No valid URL specified");
    return {};
  }
  std::string_view rest = filename;
  if (!rest.starts_with("nbd:")) return fail(EINVAL, "File name string for NBD must start with 'nbd:'");
  rest.remove_prefix(4);
  constexpr std::string_view kExport = ":exportname=";
  if (const size_t at = rest.find(kExport); at != std::string_view::npos) {
    const std::string_view name = rest.substr(at + kExport.size());
    if (!name.empty()) options.set("export", name, from);
    rest = rest.substr(0, at);
  }
  if (rest.empty()) return {};  // without an address, which is then missing
  if (rest.starts_with("unix:")) {
    options.set("server.type", "unix", from);
    options.set("server.path", rest.substr(5), from);
    return {};
  }
  std::string host, port;
  if (!split_host_port(rest, host, port) || port.empty())
    return fail(EINVAL, "error parsing address '", rest, "'");
  options.set("server.type", "inet", from);
  options.set("server.host", host, from);
  options.set("server.port", port, from);
  return {};
}

std::string nbd_filename(const SocketEndpoint& a, const std::string& name) {
  if (a.kind == SocketEndpoint::Kind::kUnix && !a.abstract)
    return name.empty() ? str_cat("nbd+unix://?socket=", a.path)
                        : str_cat("nbd+unix:///", percent_encode(name), "?socket=", a.path);
  if (a.kind != SocketEndpoint::Kind::kInet) return {};
  const bool v6 = a.host.find(':') != std::string::npos;
  const std::string place = str_cat("nbd://", v6 ? "[" : "", a.host, v6 ? "]:" : ":", a.port);
  return name.empty() ? place : str_cat(place, "/", percent_encode(name));
}

}  // namespace rhea
