// rhea-nbd: serves an image to NBD clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/export/nbd_server.h"
#include "tools/common/tool.h"
#include "util/socket_address.h"

namespace rhea::nbd_tool {

/// What the command line asks for.
struct Options {
  std::string program;
  ImageRequest image;
  std::string detect_zeroes;
  std::string snapshot;  ///< as show_snapshot() takes it; empty: none
  std::string socket;    ///< a path; empty: TCP
  std::string bind = "0.0.0.0", port = "10809";
  std::string export_name, description, pid_file;
  std::vector<std::string> objects;  ///< of --object
  uint64_t offset = 0;
  unsigned shared = 1;
  bool has_file = false, list = false, persistent = false, read_only = false, allocation_depth = false;
  bool fork = false, verbose = false, format_given = false;
  int status = -1;  ///< not negative: exit with it
};
/// Prints what is wrong; `status` is set then, and for help.
Options parse_options(int argc, char** argv);

SocketEndpoint address_of(const Options& options);

/// An image and the server that offers it.
class Server {
 public:
  Server(Tool& tool, const Options& options) : tool_(tool), options_(options), nbd_(tool.graph()) {}
  ~Server();
  /// Opens the image and makes it an export.
  Result<> open();
  /// Makes the socket that the options name.
  Result<> bind();
  void set_listeners(std::vector<UniqueFd> listeners) { listeners_ = std::move(listeners); }
  /// Clients can connect from here on.
  void begin();
  /// Serves until a signal comes or, unless persistent, the last client has gone.
  void run();

 private:
  Result<> add_window();
  void stop();
  Tool& tool_;
  const Options& options_;
  NbdServer nbd_;
  std::unique_ptr<ToolImage> image_;
  std::vector<UniqueFd> listeners_;
  std::string bound_path_;
  bool ended_ = false;
};

int list_exports(Tool& tool, const Options& options);

/// The process's part: the child that stays and the parent that tells how it went.
class Background {
 public:
  /// In the child; the parent ends here with the child's news.
  void split();
  /// Lets the parent end with success; messages are seen only with `keep_stderr`.
  void ready(bool keep_stderr);

 private:
  bool split_ = false;
  UniqueFd old_stderr_;
};

}  // namespace rhea::nbd_tool
