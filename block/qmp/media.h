// Trays and media of drives: the steps the commands are made of.
#pragma once

#include <optional>
#include <string>

#include "block/graph/block_backend.h"
#include "block/graph/block_graph.h"

namespace rhea {

/// How a command names a drive: by its own name or by its device.
struct DriveRef {
  DriveRef(std::optional<std::string> d, std::optional<std::string> i)
      : device(std::move(d)), id(std::move(i)) {}
  explicit DriveRef(std::string i) : id(std::move(i)) {}
  /// What the client said, for messages.
  const std::string& text() const { return device ? *device : *id; }
  std::optional<std::string> device;
  std::optional<std::string> id;
};

/// The backend `ref` names. "Need exactly one of 'device' and 'id'", "Device '%s' not found".
Result<BlockBackend*> find_drive(const BlockGraph& graph, const DriveRef& ref);

/// What became of an attempt to open a tray.
enum class TrayOpening : uint8_t { kOpen, kNoTray, kWaitsForGuest };
/// Opens the tray, or asks the guest to where it is locked. "Device '%s' is not removable".
Result<TrayOpening> open_tray(const BlockGraph& graph, const DriveRef& ref, bool force);
/// open_tray() for those who need it open: a lock is an error.
Result<> open_tray_now(const BlockGraph& graph, const DriveRef& ref, bool force);
Result<> close_tray(const BlockGraph& graph, const DriveRef& ref);

/// Takes the medium out; nothing if there is none. "Tray of device '%s' is not open".
CoResult<> co_remove_medium(BlockGraph& graph, DriveRef ref);
/// Puts `node` into the open, empty drive.
CoResult<> co_insert_medium(BlockGraph& graph, DriveRef ref, NodeRef node);
CoResult<> co_eject(BlockGraph& graph, DriveRef ref, bool force);

enum class ChangeReadOnly : uint8_t { kRetain, kReadOnly, kReadWrite };
struct ChangeMedium {
  ChangeMedium(std::string f, std::optional<std::string> fmt, bool fo, ChangeReadOnly ro)
      : filename(std::move(f)), format(std::move(fmt)), force(fo), read_only(ro) {}
  std::string filename;
  std::optional<std::string> format;
  bool force;
  ChangeReadOnly read_only;
};
/// Opens an image and puts it into the drive in place of what is there.
CoResult<> co_change_medium(BlockGraph& graph, DriveRef ref, ChangeMedium change);

}  // namespace rhea
