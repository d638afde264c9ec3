// NbdServer: listens, and serves exports to NBD clients.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "block/export/nbd_export.h"
#include "util/co_sync.h"
#include "util/socket_address.h"
#include "util/unique_fd.h"

namespace rhea {

class NbdConnection;

/// All exports of a process by their ids and names, and the sockets they are offered on. Main loop.
class NbdServer {
 public:
  explicit NbdServer(BlockGraph& graph) : graph_(graph) {}
  NbdServer(const NbdServer&) = delete;
  ~NbdServer();

  // --- Listening.
  struct Options {
    unsigned max_connections = 0;  ///< 0: no limit
  };
  /// Exports may be added from now on. One start at a time.
  void start(Options options);
  /// Serves clients that connect to `listeners`.
  void listen(std::vector<UniqueFd> listeners);
  bool running() const { return running_; }
  const Options& options() const { return options_; }
  /// Stops listening, disconnects everybody and closes all exports.
  CoResult<> co_stop();
  /// Clients connected now.
  size_t connections() const { return connections_.size(); }
  /// Called after each connection's end; `used`: the client had got as far as an export.
  std::function<void(bool used)> on_disconnect;
  /// Called when an export is gone, with its id.
  std::function<void(const std::string& id)> on_deleted;

  // --- Exports.
  /// "Invalid block export id", "Block export id '%s' is already in use", "Cannot export read-only node as
  /// writable", "NBD server already has export named '%s'" …
  CoResult<> co_add(BlockDriverState& node, NbdExportConfig config);
  /// Null if there is none.
  NbdExport* find_id(std::string_view id) const;
  std::shared_ptr<NbdExport> find_name(std::string_view name) const;
  bool has_clients(const NbdExport& exported) const;
  /// Takes no new clients for it, disconnects those it has, and begins closing it.
  void begin_remove(NbdExport& exported);
  /// Does so when `drive` loses its medium.
  void remove_with_medium(NbdExport& exported, BlockBackend& drive);
  const std::vector<std::shared_ptr<NbdExport>>& exports() const { return exports_; }
  BlockGraph& graph() const { return graph_; }

 private:
  friend class NbdConnection;
  struct Listener {
    UniqueFd fd;
    std::unique_ptr<FdWatch> watch;
  };
  void accept_from(Listener& listener);
  void set_listening(bool on);
  CoResult<> co_serve(std::shared_ptr<NbdConnection> connection);
  CoResult<> co_remove(std::shared_ptr<NbdExport> exported);

  BlockGraph& graph_;
  bool running_ = false;
  Options options_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::shared_ptr<NbdConnection>> connections_;
  std::vector<std::shared_ptr<NbdExport>> exports_;
  std::unique_ptr<Timer> accept_again_;  ///< after the process ran out of descriptors
  CoQueue released_;                     ///< somebody let go of an export
  Gate gate_;
};

/// "Parameter 'name' …" texts of names that are too long.
Result<> check_nbd_names(const NbdExportConfig& config);

}  // namespace rhea
