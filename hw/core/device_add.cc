#include "hw/core/device_add.h"

#include <strings.h>

#include <algorithm>

namespace rhea {

namespace {

DeviceContext* context_now = nullptr;

bool well_formed_id(std::string_view id) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (id.empty() || !letter(id[0])) return false;
  return std::ranges::all_of(
      id, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; });
}

Result<const TypeInfo*> find_device_type(std::string_view driver) {
  auto& registry = TypeRegistry::instance();
  const TypeInfo* type = registry.find(driver);
  if (type == nullptr) {
    const auto alias = registry.aliases().find(driver);
    if (alias != registry.aliases().end()) type = alias->second;
  }
  if (type == nullptr || !type->is_a("device"))
    return fail(EINVAL, "'", driver, "' is not a valid device model name");
  if (type->abstract()) return fail(EINVAL, "Parameter 'driver' expects a non-abstract device type");
  if (!type->user_creatable) return fail(EINVAL, "Parameter 'driver' expects a pluggable device type");
  return type;
}

Object& machine() {
  return qom_root().container("/machine");
}

bool bus_has_room(const Bus& bus) {
  return bus.max_devices() == 0 || bus.devices().size() < static_cast<size_t>(bus.max_devices());
}

/// Down the buses, not the tree of objects: one before those of the devices on it. What was made last comes
/// first, as users of QEMU expect: a drive without bus= goes to ide.1.
Bus* first_bus_below(Device& at, std::string_view kind, bool with_room) {
  const auto& buses = at.child_buses();
  for (auto bus = buses.rbegin(); bus != buses.rend(); ++bus) {
    if (kind == (*bus)->bus_kind() && (!with_room || bus_has_room(**bus))) return bus->get();
    const auto& devices = (*bus)->devices();
    for (auto device = devices.rbegin(); device != devices.rend(); ++device)
      if (Bus* found = first_bus_below(**device, kind, with_room)) return found;
  }
  return nullptr;
}

Bus* first_bus_of_kind(Object& root, std::string_view kind, bool with_room) {
  Bus* found = nullptr;
  for_each_device(root, [&](Device& d) {
    if (d.bus() != nullptr) return;
    if (Bus* bus = first_bus_below(d, kind, with_room)) found = bus;  // the last counts
  });
  return found;
}

Result<Bus*> choose_bus(const Device& device, const std::optional<std::string>& name) {
  if (device.bus_type() == nullptr) {
    if (name)
      return fail(EINVAL, "Bus '", *name, "' can't take device '", device.type().name,
                  "', which plugs into none");
    return nullptr;
  }
  if (name) {
    Bus* bus = find_bus(machine(), *name);
    if (bus == nullptr) bus = dynamic_cast<Bus*>(qom_root().resolve(*name));
    if (bus == nullptr) return fail(ENODEV, "Bus '", *name, "' not found");
    if (std::string_view(bus->bus_kind()) != device.bus_type())
      return fail(EINVAL, "Device '", device.type().name, "' can't go on ", bus->bus_kind(), " bus");
    return bus;
  }
  if (Bus* bus = first_bus_of_kind(machine(), device.bus_type(), true)) return bus;
  if (const Bus* full = first_bus_of_kind(machine(), device.bus_type(), false))
    return fail(ENOSPC, "Bus '", full->bus_name(), "' is full");
  return fail(ENODEV, "No '", device.bus_type(), "' bus found for device '", device.type().name, "'");
}

Result<std::optional<std::string>> take_string(Json& options, std::string_view key, ValueForm form) {
  bool present = false;
  Json value = options.take(key, &present);
  if (!present) return std::nullopt;
  return TRY(property_str(key, value, form));
}

Result<> check_hotplug(const Device& device, const Bus* bus) {
  if (bus != nullptr && !bus->hotplug_allowed())
    return fail(EBUSY, "Bus '", bus->bus_name(), "' does not support hotplugging");
  if (!device.hotpluggable())
    return fail(EBUSY, "Device '", device.type().name, "' does not support hotplugging");
  return {};
}

Result<> set_properties(Device& device, const Json& options, ValueForm form) {
  for (const auto& [key, value] : options.as_object()) TRY(device.set_property(key, value, form));
  return {};
}

/// Whether `object` still has a place in the tree.
bool in_tree(const Object& object) {
  const Object* at = &object;
  while (at->parent() != nullptr) at = at->parent();
  return at == &qom_root();
}

/// No other device may have the id.
Result<> check_id_free(const std::optional<std::string>& id) {
  if (id && qom_root().container("/machine/peripheral").child(*id) != nullptr)
    return fail(EEXIST, "Duplicate device ID '", *id, "'");
  return {};
}

}  // namespace

DeviceContext* device_context() {
  return context_now;
}
void set_device_context(DeviceContext* context) {
  context_now = context;
}

bool can_be_plugged(const TypeInfo& type) {
  if (type.create == nullptr) return true;  // its owner's, or that of a type derived from it
  const std::shared_ptr<Object> object = type.create();
  const auto& device = static_cast<const Device&>(*object);
  // Of others it is the bus that refuses, or the machine.
  const bool refuses_itself =
      !type.is_a("sys-bus-device") && (device.bus_type() == nullptr || type.is_a("pci-device"));
  return device.hotpluggable() || !refuses_itself;
}

CoResult<std::shared_ptr<Device>> co_device_add(DeviceContext& context, Json options, ValueForm form,
                                                bool hotplug, const char* anonymous_parent) {
  if (!options.is_object()) co_return fail(EINVAL, "A device is described by an object");
  const auto driver = co_await or_return(take_string(options, "driver", form));
  const auto id = co_await or_return(take_string(options, "id", form));
  const auto bus_name = co_await or_return(take_string(options, "bus", form));
  if (id && !well_formed_id(*id)) co_return fail(EINVAL, "Parameter 'id' expects an identifier");
  if (!driver) co_return fail(EINVAL, "Parameter 'driver' is missing");
  const TypeInfo* type = co_await or_return(find_device_type(*driver));
  auto device = co_await or_return(
      make_device(type->name, {}, ValueForm::kTyped, hotplug ? GlobalErrors::kWarn : GlobalErrors::kFail));
  Bus* bus = co_await or_return(choose_bus(*device, bus_name));
  if (hotplug) co_await or_return(check_hotplug(*device, bus));
  co_await or_return(check_id_free(id));
  device->set_id(id.value_or(""));
  device->set_hotplugged(hotplug);
  co_await or_return(set_properties(*device, options, form));
  const auto keep = bus != nullptr ? bus->shared_from_this() : nullptr;
  co_await or_return(co_await device->co_prepare(context));
  // Waiting may have let another client take the id, the bus, or its last place.
  co_await or_return(check_id_free(id));
  if (hotplug) co_await or_return(check_hotplug(*device, bus));
  if (bus != nullptr && !in_tree(*bus)) co_return fail(ENODEV, "Bus '", bus->bus_name(), "' not found");
  Object& parent = qom_root().container(id ? "/machine/peripheral" : anonymous_parent);
  co_await or_return(add_device(device, bus, parent, id.value_or("device[*]")));
  co_return device;
}

namespace {

struct Category {
  DeviceCategory category;
  const char* title;
};
constexpr Category kCategories[] = {{DeviceCategory::kBridge, "Controller/Bridge/Hub"},
                                    {DeviceCategory::kUsb, "USB"},
                                    {DeviceCategory::kStorage, "Storage"},
                                    {DeviceCategory::kNetwork, "Network"},
                                    {DeviceCategory::kInput, "Input"},
                                    {DeviceCategory::kDisplay, "Display"},
                                    {DeviceCategory::kSound, "Sound"},
                                    {DeviceCategory::kMisc, "Misc"},
                                    {DeviceCategory::kCpu, "CPU"},
                                    {DeviceCategory::kWatchdog, "Watchdog"},
                                    {DeviceCategory::kNone, "Uncategorized"}};

const char* bus_of(const TypeInfo& type) {
  const std::shared_ptr<Object> object = type.create();
  const auto& device = static_cast<const Device&>(*object);
  return device.bus_type() == nullptr && type.is_a("sys-bus-device") ? "System" : device.bus_type();
}

std::string model_line(const TypeInfo& type) {
  std::string line = str_cat("name \"", type.name, "\"");
  if (const char* bus = bus_of(type)) str_append(line, ", bus ", bus);
  for (const auto& [alias, target] : TypeRegistry::instance().aliases())
    if (target == &type) str_append(line, ", alias \"", alias, "\"");
  if (type.description != nullptr) str_append(line, ", desc \"", type.description, "\"");
  if (!type.user_creatable) line += ", no-user";
  return line + "\n";
}

/// Names as people sort them: upper and lower case together.
bool name_before(const TypeInfo* a, const TypeInfo* b) {
  const int order = strcasecmp(a->name, b->name);
  return order != 0 ? order < 0 : std::string_view(a->name) < b->name;
}

std::string models_text(bool also_internal) {
  std::vector<const TypeInfo*> types;
  for (const auto& [name, type] : TypeRegistry::instance().all())
    if (type->create != nullptr && type->is_a("device") && (also_internal || type->user_creatable))
      types.push_back(type);
  std::ranges::sort(types, name_before);
  std::string out;
  for (const auto& [category, title] : kCategories) {
    std::string lines;
    for (const TypeInfo* type : types)
      if (type->device_category() == category) lines += model_line(*type);
    if (!lines.empty()) str_append(out, out.empty() ? "" : "\n", title, " devices:\n", lines);
  }
  return out;
}

}  // namespace

std::string device_help() {
  return models_text(false);
}

std::string device_models_text() {
  return models_text(true);
}

Result<std::string> device_type_help(std::string_view driver) {
  const TypeInfo* type = TypeRegistry::instance().find(driver);
  if (const auto alias = TypeRegistry::instance().aliases().find(driver);
      alias != TypeRegistry::instance().aliases().end())
    type = alias->second;
  if (type == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "Device '", driver, "' not found");
  if (!type->is_a("device") || type->abstract())
    return fail(EINVAL, "Parameter 'typename' expects a non-abstract device type");
  return properties_help(type->name, device_type_properties(*type));
}

}  // namespace rhea
