#include "hw/core/unplug.h"

#include <algorithm>

#include "block/drive.h"
#include "block/graph/unused_nodes.h"
#include "qapi/qapi_events_qdev.h"

namespace rhea {

namespace {

std::optional<std::string> id_of(const Device& device) {
  return device.id().empty() ? std::nullopt : std::optional(device.id());
}

bool is_pending(UnplugState state) {
  return state == UnplugState::kRequested || state == UnplugState::kAcknowledged ||
         state == UnplugState::kEjected;
}

/// `device` and what is on its buses, children first.
void collect_devices(Device& device, std::vector<std::shared_ptr<Device>>& out) {
  for (const auto& bus : device.child_buses())
    for (Device* child : bus->devices()) collect_devices(*child, out);
  out.push_back(std::static_pointer_cast<Device>(device.shared_from_this()));
}

std::vector<std::shared_ptr<Device>> devices_of(Device& device) {
  std::vector<std::shared_ptr<Device>> out;
  collect_devices(device, out);
  return out;
}

}  // namespace

std::optional<UnplugState> unplug_state(const Device& device) {
  return device.unplug != nullptr ? std::optional(device.unplug->state) : std::nullopt;
}

/// Each disk of the device shows it too.
void Unplugger::set_state(Device& device, UnplugState state) {
  device.unplug->state = state;
  for (const auto& d : devices_of(device)) {
    if (BlockBackend* blk = d->block_backend()) {
      blk->unplug.state = to_string(state);
      blk->unplug.pending = is_pending(state);
    }
  }
  qapi_event_send_device_unplug(id_of(device), device.path(), state, std::nullopt, std::nullopt);
}

void Unplugger::asked(Device& device, const UnplugOptions& options) {
  if (device.unplug == nullptr) device.unplug = std::make_unique<PendingUnplug>();
  PendingUnplug& pending = *device.unplug;
  if (pending.state == UnplugState::kEjected) return;  // it is on its way out
  pending.remove_nodes |= options.remove_nodes;
  set_state(device, UnplugState::kRequested);
  if (options.timeout_ms == 0) return;
  pending.timer =
      std::make_unique<Timer>(context_.main_loop, realtime_clock(), [this, weak = device.weak_from_this()] {
        if (auto object = weak.lock()) time_over(static_cast<Device&>(*object));
      });
  pending.timer->arm_in(options.timeout_ms * 1'000'000);
}

void Unplugger::told(Device& device) {
  if (unplug_state(device) == UnplugState::kRequested) set_state(device, UnplugState::kAcknowledged);
}

void Unplugger::refused(Device& device) {
  if (device.unplug == nullptr || device.unplug->state == UnplugState::kEjected) return;
  device.unplug->remove_nodes = false;
  device.unplug->timer.reset();
  set_state(device, UnplugState::kRefused);
  qapi_event_send_device_unplug_guest_error(id_of(device), device.path());
}

void Unplugger::time_over(Device& device) {
  if (device.unplug == nullptr || !is_pending(device.unplug->state) ||
      device.unplug->state == UnplugState::kEjected)
    return;
  device.unplug->remove_nodes = false;
  if (withdraw) withdraw(device);
  set_state(device, UnplugState::kTimedOut);
}

void Unplugger::ejected(Device& device) {
  if (unplug_state(device) == UnplugState::kEjected) return;
  if (device.unplug == nullptr) device.unplug = std::make_unique<PendingUnplug>();
  if (device.unplug->timer != nullptr) device.unplug->timer->cancel();
  set_state(device, UnplugState::kEjected);
  gate_.enter();
  context_.main_loop.post([this, d = std::static_pointer_cast<Device>(device.shared_from_this())]() mutable {
    gate_.spawn(co_remove(std::move(d)));
    gate_.leave();
  });
}

/// What is gathered on the way.
struct Unplugger::Parts {
  std::vector<std::shared_ptr<Device>> quiet;  ///< these start nothing more, and have released their drives
  std::vector<std::string> nodes;              ///< that the devices had, not of drives
  struct Name {
    std::optional<std::string> id;
    std::string path;
  };
  std::vector<Name> names;
};

CoResult<> Unplugger::co_quiet(Device& device, Parts& parts) {
  std::ignore = co_await device.co_stop();  // it goes in any case
  BlockBackend* blk = device.block_backend();
  if (blk == nullptr) co_return Result<>();
  const bool is_drive = context_.drives != nullptr && context_.drives->find(*blk) != nullptr;
  if (is_drive) co_return co_await context_.drives->co_release(*blk);
  const std::string node = blk->node() != nullptr ? blk->node()->name() : std::string();
  if (!node.empty() && std::ranges::find(parts.nodes, node) == parts.nodes.end()) parts.nodes.push_back(node);
  co_return Result<>();
}

CoResult<> Unplugger::co_remove_nodes(Parts& parts, std::vector<std::string>& removed) {
  for (const std::string& node : parts.nodes)
    co_await or_return(co_await co_remove_unused_nodes(context_.block, node, removed));
  co_return Result<>();
}

CoResult<> Unplugger::co_remove(std::shared_ptr<Device> device) {
  Parts parts;
  std::vector<std::shared_ptr<Device>> all = devices_of(*device);
  // While one is waited for, another may have come to one of the buses.
  for (size_t i = 0; i < all.size();) {
    if (std::ranges::find(parts.quiet, all[i]) != parts.quiet.end()) {
      ++i;
      continue;
    }
    parts.quiet.push_back(all[i]);
    std::ignore = co_await co_quiet(*parts.quiet.back(), parts);
    all = devices_of(*device);
    i = 0;
  }
  if (device->parent() == nullptr) co_return Result<>();  // another was faster
  // From here to the events nothing waits: an id is free when its event is sent.
  const bool remove_nodes = device->unplug != nullptr && device->unplug->remove_nodes;
  for (const auto& d : all) parts.names.push_back({id_of(*d), d->path()});
  remove_device(*device);
  all.clear();
  parts.quiet.clear();
  device.reset();
  if (context_.drives != nullptr) context_.drives->drop_orphans();
  if (removed) removed();
  for (const Parts::Name& name : parts.names) qapi_event_send_device_deleted(name.id, name.path);
  std::vector<std::string> nodes;
  Result<> done;
  if (remove_nodes) done = co_await co_remove_nodes(parts, nodes);
  const Parts::Name& name = parts.names.back();
  qapi_event_send_device_unplug(name.id, name.path, UnplugState::kCompleted,
                                remove_nodes ? std::optional(std::move(nodes)) : std::nullopt,
                                done ? std::nullopt : std::optional(done.error().message()));
  co_return Result<>();
}

}  // namespace rhea
