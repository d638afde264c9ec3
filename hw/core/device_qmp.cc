// QMP: device_add, device_del, device-unplug, query-machines.
#include "hw/core/device_add.h"
#include "hw/core/machine.h"
#include "hw/core/unplug.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qapi_commands_qdev.h"

namespace rhea {

// Clients write properties of device_add as JSON values or as the text of a command line.
CoResult<> qmp_device_add(QmpContext&, Json args) {
  DeviceContext* context = device_context();
  if (context == nullptr) co_return fail(ENODEV, "No machine to add the device to");
  auto device =
      co_await or_return(co_await co_device_add(*context, std::move(args), ValueForm::kKeyval, true));
  if (auto* machine = dynamic_cast<Machine*>(qom_root().resolve("/machine")))
    machine->device_plugged(*device);
  co_return Result<>();
}

namespace {
Result<std::shared_ptr<Device>> find_removable(ObjectRoot& root, const std::string& id) {
  Object* object = id.starts_with('/') ? root.resolve(id) : root.container("/machine/peripheral").child(id);
  if (object == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", id, "' not found");
  auto* device = dynamic_cast<Device*>(object);
  if (device == nullptr) return fail(EINVAL, id, " is not a hotpluggable device");
  if (device->bus() != nullptr && !device->bus()->hotplug_allowed())
    return fail(EBUSY, "Bus '", device->bus()->bus_name(), "' does not support hotplugging");
  if (!device->hotpluggable())
    return fail(EBUSY, "Device '", device->type().name, "' does not support hotplugging");
  return std::static_pointer_cast<Device>(device->shared_from_this());
}

/// Asked again, the guest is told again: it may have lost what it was told before its drivers were there.
CoResult<> co_unplug(QmpContext& ctx, const std::string& id, UnplugOptions options) {
  const DeviceContext* context = device_context();
  if (context == nullptr || context->unplugger == nullptr)
    co_return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", id, "' not found");
  auto device = co_await or_return(find_removable(ctx.qom, id));
  if (unplug_state(*device) == UnplugState::kEjected) co_return Result<>();  // it is on its way out
  auto* machine = dynamic_cast<Machine*>(ctx.qom.resolve("/machine"));
  if (machine != nullptr && co_await or_return(machine->ask_to_unplug(*device))) {
    context->unplugger->asked(*device, options);
    co_return Result<>();
  }
  device->unplug = std::make_unique<PendingUnplug>();
  device->unplug->state = UnplugState::kEjected;
  device->unplug->remove_nodes = options.remove_nodes;
  co_return co_await context->unplugger->co_remove(std::move(device));
}
}  // namespace

CoResult<> qmp_device_del(QmpContext& ctx, DeviceDelArgs args) {
  const UnplugOptions options;
  co_return co_await co_unplug(ctx, args.id, options);
}

CoResult<> qmp_device_unplug(QmpContext& ctx, DeviceUnplugArgs args) {
  const UnplugOptions options{.remove_nodes = args.remove_backend.value_or(false),
                              .timeout_ms = args.timeout.value_or(0)};
  co_return co_await co_unplug(ctx, args.id, options);
}

Result<std::vector<MachineInfo>> qmp_query_machines(QmpContext&) {
  std::vector<MachineInfo> out;
  for (const MachineClass* c : machine_classes()) {
    MachineInfo& info = out.emplace_back();
    info.name = c->name;
    if (c->alias != nullptr) info.alias = c->alias;
    if (c->is_default) info.is_default = true;
    info.cpu_max = c->max_cpus;
    info.deprecated = c->deprecated;
    info.hotpluggable_cpus = c->hotpluggable_cpus;
    info.numa_mem_supported = c->numa_mem_supported;
    if (c->default_cpu_type != nullptr) info.default_cpu_type = c->default_cpu_type;
    if (c->default_ram_id != nullptr) info.default_ram_id = c->default_ram_id;
  }
  return out;
}

}  // namespace rhea
