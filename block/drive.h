// Drives: what -drive makes. A named BlockBackend with its medium, and where the machine is to connect it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/graph/block_backend.h"
#include "block/graph/block_graph.h"

namespace rhea {

enum class DriveInterface : uint8_t { kNone, kIde, kScsi, kFloppy, kPflash, kMtd, kSd, kVirtio, kXen };
/// "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio" or "xen".
std::string_view drive_interface_name(DriveInterface i);

/// One drive and its place on its interface.
struct DriveInfo {
  DriveInterface interface = DriveInterface::kNone;
  int bus = 0;
  int unit = 0;
  bool is_cdrom = false;
  bool claimed = false;  ///< a device has it; else "machine type does not support if=…" is due
  std::unique_ptr<BlockBackend> backend;
};

/// All drives of the command line. Main loop. Must be gone before the graph is shut down.
class DriveSet {
 public:
  explicit DriveSet(BlockGraph& graph) : graph_(graph) {}

  /// Makes the drive that `options` (one flat object of strings: {"if": "ide", "file": "a.iso"}) describe. An
  /// option that is none of -drive's own belongs to the node. `default_interface` counts where `if` is
  /// absent.
  CoResult<DriveInfo*> co_add(Json options, DriveInterface default_interface);

  /// HMP's drive_del: flushes and lets go of the medium. A drive without a device goes; one with a device
  /// loses its name, reports errors from now on, and goes with the device; while the guest is asked to let go
  /// of that device nothing happens until it has. "Device 'ID' not found", "Deleting
  /// device added with blockdev-add is not supported".
  CoResult<> co_delete(std::string id);
  /// The device of `backend` goes: its drive loses medium, name and place; drop_orphans() then lets go of it.
  /// Nothing if it is no drive's.
  CoResult<> co_release(BlockBackend& backend);
  /// Lets go of what lost its name and then its device.
  void drop_orphans();
  /// Removes a drive that co_add() made and nobody has taken.
  CoResult<> co_forget(DriveInfo& drive);

  /// The drive at a place, null if there is none.
  DriveInfo* find(DriveInterface interface, int bus, int unit) const;
  /// The drive that `backend` belongs to, null if it is none.
  DriveInfo* find(const BlockBackend& backend) const;
  const std::vector<std::unique_ptr<DriveInfo>>& drives() const { return drives_; }
  void clear() { drives_.clear(); }

 private:
  struct Request;
  void erase(const DriveInfo* drive);
  Result<> take_place(Request& request) const;
  Result<std::string> choose_name(Request& request) const;
  CoResult<std::unique_ptr<BlockBackend>> co_make_backend(GraphWriteLock& lock, const Request& request,
                                                          const std::string& name, const NodeRef& node);
  BlockGraph& graph_;
  std::vector<std::unique_ptr<DriveInfo>> drives_;
};

/// Drives a bus of the interface takes; 0 where there are no buses.
int drive_units_per_bus(DriveInterface i);

}  // namespace rhea
