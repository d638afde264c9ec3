// Where a socket listens or connects, and how that is written for people.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "chardev/char_options.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// A unix path, an abstract name, a host and port, or a descriptor that was handed over.
struct SocketAddress {
  enum class Kind { kUnix, kInet, kFd };
  Kind kind = Kind::kUnix;
  std::string path;  ///< or the abstract name
  bool abstract = false;
  bool tight = true;  ///< an abstract name is not padded to the length of sun_path
  std::string host, port;
  uint16_t last_port = 0;  ///< a server tries up to this one; 0: only `port`
  bool ipv4 = true, ipv6 = true;
  int fd = -1;

  /// Takes path=, host= or fd= and what belongs to it. "None or one of 'path', 'fd' or 'host' option
  /// required."
  static Result<SocketAddress> take(CharOptions& options);
  /// "unix:/x", "tcp:localhost:4444", "fd:7".
  std::string text() const;
};

/// A listening socket, not blocking. A path that is there already is replaced.
Result<UniqueFd> socket_listen(const SocketAddress& address);
/// A connected socket; blocks.
Result<UniqueFd> socket_connect(const SocketAddress& address);
/// A socket whose connecting has begun, not blocking; `pending` tells that its end shows as EPOLLOUT.
Result<UniqueFd> socket_begin_connect(const SocketAddress& address, bool* pending);

/// "unix:PATH[,server=on]" or "tcp:LOCAL[,server=on] <-> PEER" of a connected socket.
std::string connected_socket_text(int fd, bool server);

}  // namespace rhea
