// The client's side of NBD's handshake: finds out what a server offers and chooses an export.
#pragma once

#include <string>
#include <vector>

#include "util/socket_stream.h"

namespace rhea {

/// What a client wants of a server.
struct NbdWish {
  NbdWish() = default;
  NbdWish(std::string e, std::string c) : export_name(std::move(e)), context(std::move(c)) {}
  std::string export_name;
  std::string context;  ///< one metadata context; empty: none
};

/// What the server said about an export.
struct NbdExportInfo {
  std::string name, description;
  uint64_t bytes = 0;
  uint16_t flags = 0;                                    ///< transmission flags
  uint32_t min_block = 0, opt_block = 0, max_block = 0;  ///< 0: not said
  bool structured = false;
  bool has_context = false;  ///< the wished-for one is there, as number `context`
  uint32_t context = 0;
  std::vector<std::string> contexts;  ///< all there are (list only)
};

/// Chooses an export; requests may follow. Texts as QEMU has them, with the server's own words as hint.
CoResult<NbdExportInfo> co_nbd_choose(SocketStream& stream, NbdWish wish);
/// All exports with all that is known of them. The stream is of no use afterwards.
CoResult<std::vector<NbdExportInfo>> co_nbd_list(SocketStream& stream);

}  // namespace rhea
