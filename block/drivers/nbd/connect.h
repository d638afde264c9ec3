// Reaching an NBD server: from an address to a stream.
#pragma once

#include "util/socket_address.h"
#include "util/socket_stream.h"

namespace rhea {

/// Connects without blocking the loop (names are looked up on a pool thread). "Failed to connect to '%s'".
CoResult<std::unique_ptr<SocketStream>> co_nbd_connect(AioContext& loop, SocketEndpoint address);

}  // namespace rhea
