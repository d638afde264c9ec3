// BlockGraph: makes nodes, owns their names, connects them, and keeps their users' permissions consistent.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "block/graph/block_backend.h"
#include "block/graph/block_driver_state.h"
#include "util/co_sync.h"

namespace rhea {

/// The token of whoever changes the graph; one at a time. Obtained from BlockGraph::co_lock().
class [[nodiscard]] GraphWriteLock {
 public:
  GraphWriteLock(GraphWriteLock&&) noexcept = default;

 private:
  friend class BlockGraph;
  explicit GraphWriteLock(CoMutex::Guard guard) : guard_(std::move(guard)) {}
  CoMutex::Guard guard_;
};

/// While it lives nothing that limits a backend's requests, above its nodes or among them, keeps them
/// waiting. Main loop; the backend may go first.
class UndelayedRequests {
 public:
  explicit UndelayedRequests(BlockBackend& backend);
  UndelayedRequests(UndelayedRequests&& o) noexcept
      : graph_(std::exchange(o.graph_, nullptr)), serial_(o.serial_), nodes_(std::move(o.nodes_)) {}
  UndelayedRequests& operator=(UndelayedRequests&&) = delete;
  ~UndelayedRequests();

 private:
  BlockGraph* graph_;
  uint64_t serial_;
  std::vector<NodeRef> nodes_;  ///< those that have a throttle_member()
};

/// While it lives the drained backends have nothing in flight: new requests wait. Main loop.
class [[nodiscard]] DrainedSection {
 public:
  DrainedSection(DrainedSection&& o) noexcept
      : graph_(std::exchange(o.graph_, nullptr)), held_(std::move(o.held_)) {}
  DrainedSection& operator=(DrainedSection&&) = delete;
  ~DrainedSection();

 private:
  friend class BlockGraph;
  struct Held {
    uint64_t serial;
    std::shared_ptr<RequestGate> gate;
    UndelayedRequests undelayed;
  };
  explicit DrainedSection(BlockGraph& graph) : graph_(&graph) {}
  BlockGraph* graph_;
  std::vector<Held> held_;
};

/// All nodes, edges and backends of the process. Lives on the main loop, and so does every call, unless it
/// says otherwise. Before it is destroyed co_shutdown() must have ended.
class BlockGraph {
 public:
  explicit BlockGraph(AioContext& main_loop);
  BlockGraph(const BlockGraph&) = delete;
  ~BlockGraph();
  AioContext& main_loop() const { return main_loop_; }

  // --- Drivers.
  void register_driver(const BlockDriver& driver);
  const BlockDriver* find_driver(std::string_view name) const;
  const std::vector<const BlockDriver*>& drivers() const { return drivers_; }

  // --- Looking.
  /// Null if there is none. The node of a failing open is not found.
  BlockDriverState* find_node(std::string_view node_name) const;
  /// A backend by its own (-drive) name; null if none or the name is empty.
  BlockBackend* find_backend(std::string_view name) const;
  /// A node by the name of a drive it is in, or by its own. "Cannot find device='%s' nor node-name='%s'".
  Result<BlockDriverState*> lookup(std::string_view name) const;
  /// Nodes in the order their names were given.
  const std::vector<BlockDriverState*>& nodes() const { return nodes_; }
  /// Backends in the order they were made.
  const std::vector<BlockBackend*>& backends() const { return backends_; }
  /// Finds the backend a device holds, by the device's id or QOM path; null if there is none. Set by whoever
  /// knows devices.
  std::function<BlockBackend*(std::string_view id_or_path)> device_resolver;
  /// Stops the machine soon because a drive's request failed (IoErrorAction::kStop). Any thread. Set by
  /// whoever runs the machine.
  std::function<void()> stop_machine;
  /// A write went past the threshold a node had; it has none any more. Any thread. Set by whoever sends
  /// events.
  std::function<void(BlockDriverState& node, uint64_t amount, uint64_t threshold)> write_threshold_exceeded;
  /// One line per node, edge and backend: for comparison in tests and for diagnosis.
  std::string dump() const;

  // --- Changing: take the token first.
  CoResult<GraphWriteLock> co_lock();
  /// Waits until no request is in flight in any backend above `node`, or in `backend`; new ones wait.
  CoResult<DrainedSection> co_drain(GraphWriteLock& lock, BlockDriverState& node);
  CoResult<DrainedSection> co_drain(GraphWriteLock& lock, BlockBackend& backend);
  CoResult<DrainedSection> co_drain_all(GraphWriteLock& lock);

  /// Checks a user-given node name: well formed, free, short enough.
  Result<> check_node_name(std::string_view name) const;
  /// Makes a node of `driver` that is in the graph under its name but not opened.
  Result<NodeRef> make_node(GraphWriteLock& lock, const BlockDriver& driver, std::string node_name);
  /// A node of make_node() that needs no opening is open with `flags`.
  void mark_open(GraphWriteLock& lock, BlockDriverState& node, const OpenFlags& flags);
  /// Finds anew what people know the node by, after its children have changed.
  void refresh_filename(GraphWriteLock& lock, BlockDriverState& node);
  /// Makes `child` the child `name` of `parent`, with the permissions the driver of `parent` derives.
  CoResult<BdrvChild> co_attach(GraphWriteLock& lock, BlockDriverState& parent, BlockDriverState& child,
                                std::string name, uint32_t role);
  CoResult<BdrvChild> co_attach_root(GraphWriteLock& lock, BlockBackend& parent, BlockDriverState& child,
                                     PermPair perms);
  CoResult<> co_set_edge_perms(GraphWriteLock& lock, BdrvChild& edge, PermPair perms);
  /// Computes permissions anew from `node` down; on failure everything is as before.
  CoResult<> co_refresh_perms(GraphWriteLock& lock, BlockDriverState& node);
  /// Closes the nodes nobody holds any more and gives back the permissions they had.
  CoResult<> co_reap(GraphWriteLock& lock);
  /// The monitor's hold on a node (blockdev-add).
  void set_monitor_owned(GraphWriteLock& lock, BlockDriverState& node, bool owned);

  /// Ends everything: no backends may be left; all nodes are closed.
  CoResult<> co_shutdown();

 private:
  friend class BdrvChild;
  friend class BlockBackend;
  friend class DrainedSection;
  friend class GraphEdit;
  friend class NodeRef;
  friend class UndelayedRequests;
  uint64_t add_backend(BlockBackend& backend);
  void remove_backend(BlockBackend& backend);
  BlockBackend* backend_by_serial(uint64_t serial) const;
  void edge_removed(BlockDriverState& child);
  void node_unreferenced(BlockDriverState& node);
  void schedule_reap();
  std::string generate_node_name();
  CoResult<> co_reap_scheduled();
  CoResult<> co_close_node(BlockDriverState& node);
  CoResult<> co_drain_backends(DrainedSection& section, std::vector<BlockBackend*> backends);
  CoResult<BdrvChild> co_attach_edge(GraphWriteLock& lock, std::shared_ptr<BlockEdge> edge,
                                     BlockDriverState& child);

  AioContext& main_loop_;
  std::vector<const BlockDriver*> drivers_;
  std::vector<BlockDriverState*> nodes_;
  std::vector<BlockBackend*> backends_;
  std::vector<NodeRef> monitor_nodes_;
  std::list<std::unique_ptr<BlockDriverState>> dead_;  ///< to be closed
  std::vector<BlockDriverState*> loosened_;            ///< lost a user since permissions were computed
  uint64_t next_serial_ = 1;
  uint64_t next_name_ = 0;
  bool reap_scheduled_ = false;
  bool shutting_down_ = false;
  CoMutex mutex_;
  Gate background_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< false once destroyed; for posted calls
};

/// True for a letter followed by letters, digits, '-', '.' or '_'.
bool is_well_formed_id(std::string_view id);

}  // namespace rhea
