// Where a socket listens or connects, and how that is written for people.
#pragma once

#include <sys/socket.h>

#include <string>

#include "util/json.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// A unix path, an abstract name, a host and port, or a descriptor that was handed over.
struct SocketEndpoint {
  enum class Kind { kUnix, kInet, kFd };
  Kind kind = Kind::kUnix;
  std::string path;  ///< or the abstract name
  bool abstract = false;
  bool tight = true;  ///< an abstract name is not padded to the length of sun_path
  std::string host, port;
  uint16_t last_port = 0;  ///< a server tries up to this one; 0: only `port`
  bool ipv4 = true, ipv6 = true;
  bool numeric = false;     ///< host and port are numbers: no name is looked up
  bool keep_alive = false;  ///< of a client's connection
  bool mptcp = false;
  int fd = -1;

  /// From what QMP or options say: {"type": "unix", "path": …}; values typed or strings. `what` is told of an
  /// error's place. A descriptor is not looked up: its "str" comes back as `path`.
  static Result<SocketEndpoint> from_json(const Json& json, std::string_view what);
  /// "unix:/x", "tcp:localhost:4444", "fd:7".
  std::string text(std::string_view protocol = "tcp") const;
  /// As QMP shows a SocketAddress.
  Json to_json() const;
  /// Where a listening socket listens: tells the port the kernel chose, and what a descriptor stands for.
  void set_from_listener(int listener);
};

/// A listening socket, not blocking. A path that is there already is replaced. A descriptor handed over is
/// the result's owner's from then on; not if this fails. `backlog`: how many clients wait in the kernel.
Result<UniqueFd> socket_listen(const SocketEndpoint& address, int backlog = 1);
/// A connected socket; blocks.
Result<UniqueFd> socket_connect(const SocketEndpoint& address);
/// A socket whose connecting has begun, not blocking; `pending` tells that its end shows as EPOLLOUT.
Result<UniqueFd> socket_begin_connect(const SocketEndpoint& address, bool* pending);

/// A datagram socket connected to `remote` and bound to `local`, if given; not blocking.
Result<UniqueFd> socket_datagram(const SocketEndpoint& remote, const SocketEndpoint* local);

/// "unix:PATH[,server=on]" or "tcp:LOCAL[,server=on] <-> PEER" of a connected socket.
std::string connected_socket_text(int fd, bool server, std::string_view protocol = "tcp");

}  // namespace rhea
