#include "util/socket_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

#include "util/str.h"

namespace rhea {

namespace {

void set_nonblocking_socket(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

struct UnixName {
  sockaddr_un address{};
  socklen_t length = 0;
};

Result<UnixName> unix_name(const SocketEndpoint& a) {
  UnixName n;
  n.address.sun_family = AF_UNIX;
  constexpr size_t kRoom = sizeof n.address.sun_path;
  if (a.path.size() + (a.abstract ? 1 : 0) > kRoom)
    return fail(ENAMETOOLONG, "UNIX socket path '", a.path, "' is too long");
  std::memcpy(n.address.sun_path + (a.abstract ? 1 : 0), a.path.data(), a.path.size());
  n.length = sizeof n.address;
  if (a.abstract && a.tight)
    n.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + a.path.size());
  return n;
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Result<AddressList> resolve(const SocketEndpoint& a, bool server, int type = SOCK_STREAM) {
  addrinfo hints{};
  hints.ai_flags = (server ? AI_PASSIVE : 0) | (a.numeric ? AI_NUMERICHOST | AI_NUMERICSERV : 0);
  hints.ai_family = a.ipv4 && a.ipv6 ? AF_UNSPEC : a.ipv6 ? AF_INET6 : AF_INET;
  hints.ai_socktype = type;
  addrinfo* list = nullptr;
  const int rc = getaddrinfo(a.host.empty() ? nullptr : a.host.c_str(), a.port.c_str(), &hints, &list);
  if (rc != 0)
    return fail(EINVAL, "address resolution failed for ", a.host, ":", a.port, ": ", gai_strerror(rc));
  return AddressList(list, freeaddrinfo);
}

/// Calls `use(address)` with each address of the name until one gives a socket.
Result<UniqueFd> first_that_works(const SocketEndpoint& a, bool server,
                                  const std::function<UniqueFd(const addrinfo&)>& use) {
  AddressList list = TRY(resolve(a, server));
  int error = EADDRNOTAVAIL;
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    UniqueFd fd = use(*one);
    if (fd) return fd;
    error = errno;
  }
  if (server) return fail_errno(error, "Failed to find an available port");
  return fail_errno(error, "Failed to connect to '", a.host, ":", a.port, "'");
}

int protocol_of(const SocketEndpoint& a) {
  return a.mptcp ? IPPROTO_MPTCP : 0;
}

/// A client's options; a socket that is none stays none.
void set_client_options(const UniqueFd& fd, const SocketEndpoint& a) {
  const int on = 1;
  if (fd && a.keep_alive) setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/// Closing must not hide why.
UniqueFd failed(UniqueFd fd) {
  const int error = errno;
  fd.reset();
  errno = error;
  return {};
}

void set_port(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  else
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

UniqueFd listen_inet(const addrinfo& at, const SocketEndpoint& a, int backlog) {
  uint64_t first = 0;
  const bool range = a.last_port != 0 && parse_u64(a.port, first) && first <= a.last_port;
  sockaddr_storage address{};
  std::memcpy(&address, at.ai_addr, std::min<size_t>(at.ai_addrlen, sizeof address));
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  for (uint64_t port = first; port <= (range ? a.last_port : first); ++port) {
    UniqueFd fd(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol_of(a)));
    if (!fd) return fd;
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at.ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (range) set_port(generic, static_cast<uint16_t>(port));
    if (bind(fd.get(), generic, at.ai_addrlen) == 0 && listen(fd.get(), backlog) == 0) return fd;
    if (errno != EADDRINUSE || port == a.last_port || !range) return failed(std::move(fd));
  }
  return {};
}

Result<UniqueFd> listen_unix(const SocketEndpoint& a, int backlog) {
  const UnixName name = TRY(unix_name(a));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "Failed to create Unix socket");
  if (!a.abstract && ::unlink(a.path.c_str()) < 0 && errno != ENOENT)
    return fail_errno(errno, "Failed to unlink socket ", a.path);
  const auto* generic = reinterpret_cast<const sockaddr*>(&name.address);
  if (bind(fd.get(), generic, name.length) < 0) return fail_errno(errno, "Failed to bind socket to ", a.path);
  if (listen(fd.get(), backlog) < 0) return fail_errno(errno, "Failed to listen on socket");
  return fd;
}

std::string host_port(const sockaddr_storage& address, socklen_t length) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "unknown";
  const bool v6 = address.ss_family == AF_INET6;
  return str_cat(v6 ? "[" : "", host, v6 ? "]:" : ":", port);
}

std::string unix_text(const sockaddr_storage& address, socklen_t length, std::string_view server) {
  constexpr size_t kStart = offsetof(sockaddr_un, sun_path);
  const auto* name = reinterpret_cast<const sockaddr_un*>(&address);
  const size_t bytes = length > kStart ? length - kStart : 0;
  if (bytes > 0 && name->sun_path[0] == '\0') {
    const bool tight = bytes < sizeof name->sun_path;
    const size_t chars = tight ? bytes - 1 : strnlen(name->sun_path + 1, bytes - 1);
    return str_cat("unix:", std::string_view(name->sun_path + 1, chars), ",abstract=on",
                   tight ? ",tight=on" : ",tight=off", server);
  }
  return str_cat("unix:", std::string_view(name->sun_path, strnlen(name->sun_path, bytes)), server);
}

}  // namespace

namespace {
/// Takes the members of a SocketAddress one by one.
class AddressMembers {
 public:
  AddressMembers(const Json& json, std::string_view what) : json_(json), what_(what) {}
  Result<std::string> text(std::string_view key, bool required) {
    const Json* v = look(key);
    if (v == nullptr) {
      if (required) return fail(EINVAL, "Parameter '", what_, key, "' is missing");
      return std::string();
    }
    if (!v->is_string())
      return fail(EINVAL, "Invalid parameter type for '", what_, key, "', expected: string");
    return v->as_string();
  }
  Result<bool> flag(std::string_view key, bool fallback) {
    const Json* v = look(key);
    if (v == nullptr) return fallback;
    if (v->is_bool()) return v->as_bool();
    if (v->is_string() && v->as_string() == "on") return true;
    if (v->is_string() && v->as_string() == "off") return false;
    return fail(EINVAL, "Invalid parameter type for '", what_, key, "', expected: boolean");
  }
  Result<uint16_t> port(std::string_view key) {
    const Json* v = look(key);
    if (v == nullptr) return uint16_t{0};
    uint64_t n = v->is_uint() ? v->as_uint() : UINT64_MAX;
    if ((v->is_string() && !parse_u64(v->as_string(), n)) || n > UINT16_MAX)
      return fail(EINVAL, "Parameter '", what_, key, "' expects uint16_t");
    return static_cast<uint16_t>(n);
  }
  bool has(std::string_view key) const { return json_.find(key) != nullptr; }
  Result<> check_all_taken() const {
    for (const auto& [key, value] : json_.as_object())
      if (std::find(taken_.begin(), taken_.end(), key) == taken_.end())
        return fail(EINVAL, "Parameter '", what_, key, "' is unexpected");
    return {};
  }

 private:
  const Json* look(std::string_view key) {
    taken_.emplace_back(key);
    return json_.find(key);
  }
  const Json& json_;
  std::string_view what_;
  std::vector<std::string> taken_;
};
}  // namespace

Result<SocketEndpoint> SocketEndpoint::from_json(const Json& json, std::string_view what) {
  AddressMembers m(json, what);
  SocketEndpoint a;
  const std::string type = TRY(m.text("type", true));
  if (type == "unix") {
    a.path = TRY(m.text("path", true));
    a.abstract = TRY(m.flag("abstract", false));
    a.tight = TRY(m.flag("tight", true));
  } else if (type == "inet") {
    a.kind = Kind::kInet;
    a.host = TRY(m.text("host", true));
    a.port = TRY(m.text("port", true));
    a.last_port = TRY(m.port("to"));
    a.numeric = TRY(m.flag("numeric", false));
    a.keep_alive = TRY(m.flag("keep-alive", false));
    a.mptcp = TRY(m.flag("mptcp", false));
    const bool v4_given = m.has("ipv4"), v6_given = m.has("ipv6");
    a.ipv4 = TRY(m.flag("ipv4", true));
    a.ipv6 = TRY(m.flag("ipv6", true));
    if (!a.ipv4 && !a.ipv6) return fail(EINVAL, "Cannot disable IPv4 and IPv6 at same time");
    if (v4_given && a.ipv4 && !v6_given) a.ipv6 = false;  // one asked for by name leaves the other out
    if (v6_given && a.ipv6 && !v4_given) a.ipv4 = false;
  } else if (type == "fd") {
    a.kind = Kind::kFd;
    a.path = TRY(m.text("str", true));
  } else {
    return fail(EINVAL, "Parameter '", what, "type' does not accept value '", type, "'");
  }
  TRY(m.check_all_taken());
  return a;
}

Json SocketEndpoint::to_json() const {
  switch (kind) {
    case Kind::kUnix: {
      Json json = Json::object({{"path", path}, {"type", "unix"}});
      if (abstract) {
        json.set("abstract", true);
        json.set("tight", tight);
      }
      return json;
    }
    case Kind::kInet:
      return ipv4 == ipv6
                 ? Json::object({{"host", host}, {"port", port}, {"type", "inet"}})
                 : Json::object(
                       {{"host", host}, {"port", port}, {ipv4 ? "ipv4" : "ipv6", true}, {"type", "inet"}});
    case Kind::kFd:
      return Json::object({{"str", str_cat(fd)}, {"type", "fd"}});
  }
  return {};
}

void SocketEndpoint::set_from_listener(int listener) {
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&local), &length) < 0) return;
  if (local.ss_family == AF_UNIX) {
    const auto* name = reinterpret_cast<const sockaddr_un*>(&local);
    const size_t bytes = length - offsetof(sockaddr_un, sun_path);
    if (kind == Kind::kUnix || bytes == 0) return;
    kind = Kind::kUnix;
    abstract = name->sun_path[0] == '\0';
    path = abstract ? std::string(name->sun_path + 1, bytes - 1)
                    : std::string(name->sun_path, strnlen(name->sun_path, bytes));
    return;
  }
  char host_text[NI_MAXHOST], port_text[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&local), length, host_text, sizeof host_text, port_text,
                  sizeof port_text, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return;
  kind = Kind::kInet;
  ipv6 = local.ss_family == AF_INET6;
  ipv4 = !ipv6;
  host = host_text;
  port = port_text;
}

std::string SocketEndpoint::text(std::string_view protocol) const {
  switch (kind) {
    case Kind::kUnix:
      return str_cat("unix:", path,
                     abstract ? (tight ? ",abstract=on,tight=on" : ",abstract=on,tight=off") : "");
    case Kind::kInet:
      return host.find(':') == std::string::npos ? str_cat(protocol, ":", host, ":", port)
                                                 : str_cat(protocol, ":[", host, "]:", port);
    case Kind::kFd:
      return str_cat("fd:", fd);
  }
  return {};
}

Result<UniqueFd> socket_listen(const SocketEndpoint& a, int backlog) {
  if (a.kind == SocketEndpoint::Kind::kInet)
    return first_that_works(a, true, [&](const addrinfo& at) { return listen_inet(at, a, backlog); });
  if (a.kind == SocketEndpoint::Kind::kUnix) return listen_unix(a, backlog);
  if (listen(a.fd, backlog) < 0) return fail_errno(errno, "Failed to listen on fd ", a.fd);
  set_nonblocking_socket(a.fd);
  return UniqueFd(a.fd);
}

Result<UniqueFd> socket_begin_connect(const SocketEndpoint& a, bool* pending) {
  const auto begin = [&](int family, const sockaddr* to, socklen_t length) {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol_of(a)));
    set_client_options(fd, a);
    *pending = fd && connect(fd.get(), to, length) < 0;
    if (!fd || (*pending && errno != EINPROGRESS)) return failed(std::move(fd));
    return fd;
  };
  if (a.kind == SocketEndpoint::Kind::kInet)
    return first_that_works(
        a, false, [&](const addrinfo& at) { return begin(at.ai_family, at.ai_addr, at.ai_addrlen); });
  if (a.kind == SocketEndpoint::Kind::kFd) return fail(EINVAL, "a descriptor cannot be connected");
  const UnixName name = TRY(unix_name(a));
  UniqueFd fd = begin(AF_UNIX, reinterpret_cast<const sockaddr*>(&name.address), name.length);
  if (!fd) return fail_errno(errno, "Failed to connect to '", a.path, "'");
  return fd;
}

Result<UniqueFd> socket_connect(const SocketEndpoint& a) {
  if (a.kind == SocketEndpoint::Kind::kFd) {
    set_nonblocking_socket(a.fd);
    return UniqueFd(a.fd);
  }
  const auto blocking = [&a](int family, const sockaddr* to, socklen_t length) {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol_of(a)));
    set_client_options(fd, a);
    if (!fd || connect(fd.get(), to, length) < 0) return failed(std::move(fd));
    set_nonblocking_socket(fd.get());
    return fd;
  };
  if (a.kind == SocketEndpoint::Kind::kInet)
    return first_that_works(
        a, false, [&](const addrinfo& at) { return blocking(at.ai_family, at.ai_addr, at.ai_addrlen); });
  const UnixName name = TRY(unix_name(a));
  UniqueFd fd = blocking(AF_UNIX, reinterpret_cast<const sockaddr*>(&name.address), name.length);
  if (!fd) return fail_errno(errno, "Failed to connect to '", a.path, "'");
  return fd;
}

Result<UniqueFd> socket_datagram(const SocketEndpoint& remote, const SocketEndpoint* local) {
  AddressList to = TRY(resolve(remote, false, SOCK_DGRAM));
  UniqueFd fd(::socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "Failed to create socket family ", to->ai_family);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (local != nullptr) {
    SocketEndpoint from_address = *local;
    from_address.ipv4 = to->ai_family == AF_INET;
    from_address.ipv6 = to->ai_family == AF_INET6;
    AddressList from = TRY(resolve(from_address, true, SOCK_DGRAM));
    if (bind(fd.get(), from->ai_addr, from->ai_addrlen) < 0)
      return fail_errno(errno, "Failed to bind socket to '", local->host, ":", local->port, "'");
  }
  if (connect(fd.get(), to->ai_addr, to->ai_addrlen) < 0)
    return fail_errno(errno, "Failed to connect to '", remote.host, ":", remote.port, "'");
  return fd;
}

std::string connected_socket_text(int fd, bool server, std::string_view protocol) {
  sockaddr_storage local{}, peer{};
  socklen_t local_length = sizeof local, peer_length = sizeof peer;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) < 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_length) < 0)
    return "unknown";
  const std::string_view suffix = server ? ",server=on" : "";
  if (local.ss_family == AF_UNIX) return unix_text(local, local_length, suffix);
  return str_cat(protocol, ":", host_port(local, local_length), suffix, " <-> ",
                 host_port(peer, peer_length));
}

}  // namespace rhea
