// Where an nbd node connects and what it asks for, from all the spellings people know.
#pragma once

#include <string>

#include "block/graph/options.h"
#include "util/socket_address.h"

namespace rhea {

struct NbdOptions {
  SocketEndpoint address;
  std::string export_name;
  std::string context = "base:allocation";  ///< x-dirty-bitmap replaces it
  uint64_t reconnect_delay_s = 0;           ///< how long requests wait for a server that is gone
  uint64_t open_timeout_s = 0;              ///< how long opening tries to connect

  /// Takes them out of `options`: server.*, or path, or host and port; export, reconnect-delay …
  static Result<NbdOptions> take(OptionTree& options);
};

/// "nbd:HOST:PORT[:exportname=NAME]", "nbd:unix:PATH[:exportname=NAME]", "nbd://HOST[:PORT]/[NAME]",
/// "nbd+unix:///[NAME]?socket=PATH" as options.
Result<> parse_nbd_filename(const std::string& filename, OptionTree& options);
/// The name of an export that parse_nbd_filename() reads again; "" if there is none.
std::string nbd_filename(const SocketEndpoint& address, const std::string& export_name);

}  // namespace rhea
