// QMP: device_add, device_del, query-machines.
#include "hw/core/device_add.h"
#include "hw/core/machine.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qapi_commands_qdev.h"
#include "qapi/qapi_events_qdev.h"

namespace rhea {

CoResult<> qmp_device_add(QmpContext&, Json args) {
  DeviceContext* context = device_context();
  if (context == nullptr) co_return fail(ENODEV, "No machine to add the device to");
  co_await or_return(co_await co_device_add(*context, std::move(args), ValueForm::kTyped, true));
  co_return Result<>();
}

Result<> qmp_device_del(QmpContext& ctx, DeviceDelArgs args) {
  Object* object = args.id.starts_with('/') ? ctx.qom.resolve(args.id)
                                            : ctx.qom.container("/machine/peripheral").child(args.id);
  auto* device = dynamic_cast<Device*>(object);
  if (device == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", args.id, "' not found");
  if (device->bus() != nullptr && !device->bus()->hotplug_allowed())
    return fail(EBUSY, "Bus '", device->bus()->bus_name(), "' does not support hotplugging");
  if (!device->hotpluggable())
    return fail(EBUSY, "Device '", device->type().name, "' does not support hotplugging");
  const std::string path = device->path(), id = device->id();
  remove_device(*device);
  qapi_event_send_device_deleted(id.empty() ? std::nullopt : std::optional(id), path);
  return {};
}

Result<std::vector<MachineInfo>> qmp_query_machines(QmpContext&) {
  std::vector<MachineInfo> out;
  for (const MachineClass* c : machine_classes()) {
    MachineInfo& info = out.emplace_back();
    info.name = c->name;
    if (c->alias != nullptr) info.alias = c->alias;
    if (c->is_default) info.is_default = true;
    info.cpu_max = c->max_cpus;
    if (c->default_cpu_type != nullptr) info.default_cpu_type = c->default_cpu_type;
    if (c->default_ram_id != nullptr) info.default_ram_id = c->default_ram_id;
  }
  return out;
}

}  // namespace rhea
