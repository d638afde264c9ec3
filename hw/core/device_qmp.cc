// QMP: device_add, device_del, query-machines.
#include "hw/core/device_add.h"
#include "hw/core/machine.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qapi_commands_qdev.h"
#include "qapi/qapi_events_qdev.h"

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
}  // namespace

void delete_device(std::shared_ptr<Device> device) {
  const std::string path = device->path(), id = device->id();
  remove_device(*device);
  device.reset();  // its disk is free before anybody is told
  qapi_event_send_device_deleted(id.empty() ? std::nullopt : std::optional(id), path);
}

CoResult<> qmp_device_del(QmpContext& ctx, DeviceDelArgs args) {
  auto device = co_await or_return(find_removable(ctx.qom, args.id));
  auto* machine = dynamic_cast<Machine*>(ctx.qom.resolve("/machine"));
  if (machine != nullptr && co_await or_return(machine->ask_to_unplug(*device))) co_return Result<>();
  const std::string path = device->path();
  co_await or_return(co_await device->co_stop());
  if (device->path() != path) co_return Result<>();  // another client was faster
  delete_device(std::move(device));
  co_return Result<>();
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
