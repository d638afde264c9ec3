// NbdExport: one node offered to NBD clients under a name.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "block/export/nbd_protocol.h"
#include "block/graph/block_backend.h"
#include "block/graph/block_graph.h"

namespace rhea {

/// What to export and how.
struct NbdExportConfig {
  std::string id;    ///< of block-export-add; unique
  std::string name;  ///< what clients ask for
  std::string description;
  bool writable = false;
  bool writethrough = false;      ///< a write is durable when it is answered
  bool allocation_depth = false;  ///< offer qemu:allocation-depth
  bool multi_conn = true;         ///< clients may use several connections at once
};

/// Metadata contexts an export offers; a client's choice of them is a set of bits, and the wire's numbers.
namespace nbd_context {
inline constexpr uint32_t kBaseAllocation = 0, kAllocationDepth = 1;
inline constexpr uint32_t kCount = 2;
}  // namespace nbd_context

/// Shared by the registry and by each of its clients; main loop. What `backend` needs waiting for is done by
/// co_close().
class NbdExport {
 public:
  NbdExport(BlockGraph& graph, NbdExportConfig config, PermPair perms)
      : config_(std::move(config)), backend_(graph, "", perms) {
    backend_.set_write_cache_enabled(!config_.writethrough);
  }
  const NbdExportConfig& config() const { return config_; }
  BlockBackend& backend() { return backend_; }
  uint64_t bytes() const { return bytes_; }
  /// Transmission flags without those a connection adds.
  uint16_t flags() const;
  uint32_t min_block() const { return backend_.node()->limits().request_alignment; }
  uint32_t preferred_block() const { return std::max(4096u, min_block()); }
  uint32_t max_block() const;
  /// Name of a context as clients ask for it; "" if this export does not offer it.
  std::string context_name(uint32_t context) const;

  CoResult<> co_open(BlockDriverState& node);
  /// Flushes and lets go of the node.
  CoResult<> co_close();

  /// Calls `gone` when `drive` loses its medium or ends.
  void watch_medium(BlockBackend& drive, std::function<void()> gone);
  void unwatch_medium();

  bool shutting_down = false;  ///< takes no new client

 private:
  NbdExportConfig config_;
  BlockBackend backend_;
  uint64_t bytes_ = 0;
  BlockBackend* watched_ = nullptr;
};

/// Adjoining runs of one state, as they go to clients.
struct NbdExtent {
  uint32_t bytes, flags;
};
/// What `context` says of `range`: extents from its start on, at most `most` of them; at least one.
CoResult<std::vector<NbdExtent>> co_nbd_extents(NbdExport& exported, uint32_t context, ByteRange range,
                                                size_t most);

}  // namespace rhea
