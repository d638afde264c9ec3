// The options of a character device that say where its socket is.
#pragma once

#include "chardev/char_options.h"
#include "util/socket_address.h"

namespace rhea {

/// Takes path=, host= or fd= and what belongs to it. "None or one of 'path', 'fd' or 'host' option
/// required."
Result<SocketEndpoint> take_socket_address(CharOptions& options);
/// Takes ipv4= and ipv6=.
Result<> take_socket_families(CharOptions& options, SocketEndpoint& address);

}  // namespace rhea
