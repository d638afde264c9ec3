#include "block/qmp/media.h"

#include "block/graph/open.h"

namespace rhea {

Result<BlockBackend*> find_drive(const BlockGraph& graph, const DriveRef& ref) {
  if (ref.device.has_value() == ref.id.has_value())
    return fail(EINVAL, "Need exactly one of 'device' and 'id'");
  BlockBackend* backend = nullptr;
  if (ref.device)
    backend = graph.find_backend(*ref.device);
  else if (graph.device_resolver)
    backend = graph.device_resolver(*ref.id);
  if (backend == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", ref.text(), "' not found");
  return backend;
}

Result<TrayOpening> open_tray(const BlockGraph& graph, const DriveRef& ref, bool force) {
  BlockBackend* drive = TRY(find_drive(graph, ref));
  if (!drive->has_removable_media()) return fail(ENOTSUP, "Device '", ref.text(), "' is not removable");
  if (!drive->has_tray()) return TrayOpening::kNoTray;
  if (drive->is_tray_open()) return TrayOpening::kOpen;
  const bool locked = drive->is_medium_locked();
  if (locked) drive->eject_request(force);
  if (locked && !force) return TrayOpening::kWaitsForGuest;
  TRY(drive->change_media_cb(false));
  return TrayOpening::kOpen;
}

Result<> open_tray_now(const BlockGraph& graph, const DriveRef& ref, bool force) {
  if (TRY(open_tray(graph, ref, force)) == TrayOpening::kWaitsForGuest)
    return fail(EINPROGRESS, "Device '", ref.text(),
                "' is locked and force was not specified, wait for tray to open and try again");
  return {};
}

Result<> close_tray(const BlockGraph& graph, const DriveRef& ref) {
  BlockBackend* drive = TRY(find_drive(graph, ref));
  if (!drive->has_removable_media()) return fail(ENOTSUP, "Device '", ref.text(), "' is not removable");
  if (!drive->has_tray() || !drive->is_tray_open()) return {};
  return drive->change_media_cb(true);
}

CoResult<> co_remove_medium(BlockGraph& graph, DriveRef ref) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  BlockBackend* drive = co_await or_return(find_drive(graph, ref));
  if (drive->has_device()) {
    if (!drive->has_removable_media()) co_return fail(ENOTSUP, "Device '", ref.text(), "' is not removable");
    if (drive->has_tray() && !drive->is_tray_open())
      co_return fail(EBUSY, "Tray of device '", ref.text(), "' is not open");
  }
  if (drive->node() == nullptr) co_return Result<>();
  drive->set_read_only_default(drive->node()->read_only());
  co_await or_return(co_await drive->co_remove(lock));
  drive = co_await or_return(find_drive(graph, ref));
  if (drive->has_tray()) co_return Result<>();
  co_return drive->change_media_cb(false);  // where no tray told the guest
}

CoResult<> co_insert_medium(BlockGraph& graph, DriveRef ref, NodeRef node) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  BlockBackend* drive = co_await or_return(find_drive(graph, ref));
  if (drive->has_device()) {
    if (!drive->has_removable_media()) co_return fail(ENOTSUP, "Device is not removable");
    if (drive->has_tray() && !drive->is_tray_open()) co_return fail(EBUSY, "Tray of the device is not open");
  }
  if (drive->node() != nullptr) co_return fail(EBUSY, "There already is a medium in the device");
  if (drive->has_device()) {
    const std::optional<PermPair> perms = drive->device()->medium_perms(*node);
    if (perms) co_await or_return(co_await drive->co_set_perm(lock, *perms));
    drive = co_await or_return(find_drive(graph, ref));
  }
  co_await or_return(co_await drive->co_insert(lock, *node));
  drive = co_await or_return(find_drive(graph, ref));
  if (drive->has_tray()) co_return Result<>();
  Result<> loaded = drive->change_media_cb(true);
  if (!loaded) std::ignore = co_await drive->co_remove(lock);  // the reason is the device's
  co_return loaded;
}

CoResult<> co_eject(BlockGraph& graph, DriveRef ref, bool force) {
  co_await or_return(open_tray_now(graph, ref, force));
  co_return co_await co_remove_medium(graph, std::move(ref));
}

CoResult<> co_change_medium(BlockGraph& graph, DriveRef ref, ChangeMedium change) {
  BlockBackend* drive = co_await or_return(find_drive(graph, ref));
  const BlockDriverState* before = drive->node();
  bool read_only = before != nullptr ? before->read_only() : drive->read_only_default();
  if (change.read_only != ChangeReadOnly::kRetain) read_only = change.read_only == ChangeReadOnly::kReadOnly;

  OpenRequest request({}, change.filename);
  request.options.set("read-only", read_only);
  if (change.format) request.options.set("driver", *change.format);
  if (before != nullptr && before->flags().detect_zeroes != DetectZeroes::kOff) {
    request.options.set("detect-zeroes", detect_zeroes_name(before->flags().detect_zeroes));
    request.options.set("discard", before->flags().unmap ? "unmap" : "ignore");
  }
  if (before != nullptr) {
    request.options.set("cache.direct", before->flags().direct);
    request.options.set("cache.no-flush", before->flags().no_flush);
  }
  NodeRef node = co_await or_return(co_await co_open_node(graph, std::move(request)));
  co_await or_return(open_tray_now(graph, ref, change.force));
  co_await or_return(co_await co_remove_medium(graph, ref));
  co_await or_return(co_await co_insert_medium(graph, ref, node));
  co_return close_tray(graph, ref);
}

}  // namespace rhea
