// The kinds of back ends, by what makes them.
#pragma once

#include <memory>

#include "net/net.h"
#include "util/unique_fd.h"

namespace rhea {

struct Netdev;
struct NetdevUserOptions;
struct NetdevTapOptions;

/// A stream of frames over a connected socket, each behind its length.
Result<std::unique_ptr<NetBackend>> create_net_socket(std::string id, AioContext& loop, UniqueFd socket);
/// TCP/IP of the host's user, through libslirp: no rights are needed.
Result<std::unique_ptr<NetBackend>> create_net_user(std::string id, AioContext& loop,
                                                    const NetdevUserOptions& options);
/// A port of the hub of that number, which is there while it has ports.
std::unique_ptr<NetBackend> create_net_hub_port(std::string id, AioContext& loop, int32_t hub);
/// A tap device of the host's kernel; with options.fd, `given` is it.
Result<std::unique_ptr<NetBackend>> create_net_tap(std::string id, AioContext& loop,
                                                   const NetdevTapOptions& options, UniqueFd given);

}  // namespace rhea
