#include "chardev/socket_options.h"

namespace rhea {

Result<> take_socket_families(CharOptions& options, SocketEndpoint& a) {
  const bool v4_given = options.has("ipv4"), v6_given = options.has("ipv6");
  a.ipv4 = TRY(options.take_bool("ipv4", true));
  a.ipv6 = TRY(options.take_bool("ipv6", true));
  if (!a.ipv4 && !a.ipv6) return fail(EINVAL, "Cannot disable IPv4 and IPv6 at same time");
  // One asked for by name leaves the other out.
  if (v4_given && a.ipv4 && !v6_given) a.ipv6 = false;
  if (v6_given && a.ipv6 && !v4_given) a.ipv4 = false;
  return {};
}

Result<SocketEndpoint> take_socket_address(CharOptions& options) {
  SocketEndpoint a;
  if (options.has("path") + options.has("host") + options.has("fd") > 1)
    return fail(EINVAL, "None or one of 'path', 'fd' or 'host' option required.");
  if (options.has("path")) {
    a.path = options.take("path");
    a.abstract = TRY(options.take_bool("abstract", false));
    a.tight = TRY(options.take_bool("tight", true));
    return a;
  }
  if (options.has("fd")) {
    a.kind = SocketEndpoint::Kind::kFd;
    uint64_t number;
    const std::string text = options.take("fd");
    if (!parse_u64(text, number) || number > INT32_MAX)
      return fail(EINVAL, "Unable to parse FD number ", text);
    a.fd = static_cast<int>(number);
    return a;
  }
  if (!options.has("host")) return fail(EINVAL, "chardev: socket: no path, host or fd given");
  a.kind = SocketEndpoint::Kind::kInet;
  a.host = options.take("host");
  if (!options.has("port")) return fail(EINVAL, "chardev: socket: no port given");
  a.port = options.take("port");
  const uint64_t to = TRY(options.take_number("to", 0));
  if (to > UINT16_MAX) return fail(EINVAL, "Parameter 'to' expects a port number");
  a.last_port = static_cast<uint16_t>(to);
  a.numeric = TRY(options.take_bool("numeric", false));
  a.keep_alive = TRY(options.take_bool("keep-alive", false));
  a.mptcp = TRY(options.take_bool("mptcp", false));
  TRY(take_socket_families(options, a));
  return a;
}

}  // namespace rhea
