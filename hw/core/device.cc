#include "hw/core/device.h"

#include <algorithm>

#include "hw/core/unplug.h"

namespace rhea {

namespace {
constexpr const char* kDeviceInterfaces[] = {"vmstate-if", "resettable"};
constexpr const char* kBusInterfaces[] = {"resettable"};

const Device& device_of(const Object& o) {
  return static_cast<const Device&>(o);
}
}  // namespace

// What every device has and no user sets.
constexpr PropertyInfo Device::kCommonProperties[] = {
    {.name = "parent_bus",
     .type = "link<bus>",
     .get = [](const Object& o) -> Json {
       return device_of(o).bus() != nullptr ? device_of(o).bus()->path() : std::string();
     }},
    {.name = "realized",
     .type = "bool",
     .get = [](const Object& o) -> Json { return device_of(o).realized(); }},
    {.name = "hotplugged",
     .type = "bool",
     .get = [](const Object& o) -> Json { return device_of(o).hotplugged(); }},
    {.name = "hotpluggable", .type = "bool", .get = [](const Object& o) -> Json {
       return device_of(o).hotpluggable();
     }}};
constexpr TypeInfo Device::kType{.name = "device",
                                 .parent = &Object::kType,
                                 .properties = Device::kCommonProperties,
                                 .interfaces = kDeviceInterfaces};
constexpr TypeInfo Device::kSysBusType{.name = "sys-bus-device", .parent = &Device::kType};
constexpr TypeInfo Bus::kType{.name = "bus", .parent = &Object::kType, .interfaces = kBusInterfaces};

Device::Device() {
  add_link("parent_bus", "bus", [this] { return static_cast<Object*>(bus_); });
}

Device::~Device() {
  if (bus_ != nullptr) bus_->unplug(*this);
}

Result<> Device::realize() {
  if (realized_) return {};
  TRY(do_realize());
  realized_ = true;
  return {};
}

void Device::unrealize() {
  if (!realized_) return;
  for (auto& bus : child_buses_)
    while (!bus->devices().empty()) remove_device(*bus->devices().back());
  do_unrealize();
  realized_ = false;
}

std::string Device::bus_path() const {
  return bus_ != nullptr ? bus_->device_path(*this) : std::string();
}

std::vector<Device::IrqInputs> Device::irq_inputs() const {
  if (irq_input_count() == 0) return {};
  return {{.count = irq_input_count()}};
}

std::optional<Device::IrqInputs> Device::find_irq_inputs(std::string_view name) const {
  for (const IrqInputs& group : irq_inputs())
    if (group.name == name) return group;
  return std::nullopt;
}

void Device::set_irq(int n, int level) {
  for (InputTap& tap : input_taps_) {
    const int pin = n - tap.pins.first;
    if (pin < 0 || pin >= tap.pins.count) continue;
    int& before = tap.levels[static_cast<size_t>(pin)];
    if (std::exchange(before, level) != level) tap.report(pin, level);
  }
  irq_input(n, level);
}

void Device::tap_inputs(std::string_view name, IrqTap::Report report) {
  const auto group = find_irq_inputs(name);
  if (!group) return;
  input_taps_.push_back({*group, std::move(report), std::vector<int>(static_cast<size_t>(group->count))});
}

void Device::tap_outputs(std::string_view name, IrqTap::Report report) {
  int n = 0;
  for (const IrqOutput& output : outputs_) {
    if (output.name != name) continue;
    output_taps_.push_back(std::make_unique<IrqTap>(*output.line, n, report));
    *output.line = IrqLine(*output_taps_.back(), n++);
  }
}

Bus* Device::child_bus(std::string_view name) const {
  for (const auto& bus : child_buses_)
    if (bus->bus_name() == name) return bus.get();
  return nullptr;
}

Result<> Device::check_settable(const PropertyInfo& p) const {
  if (!realized_ || p.at_run_time) return {};
  return fail(EBUSY, "Attempt to set property '", p.name, "' on ",
              id_.empty() ? str_cat("anonymous device") : str_cat("device '", id_, "'"), " (type '",
              type().name, "') after it was realized");
}

void Device::add_bus(std::shared_ptr<Bus> bus) {
  bus->owner_ = this;
  child_buses_.push_back(bus);
  const std::string name(bus->bus_name());  // arguments are evaluated in any order
  add_child(name, std::move(bus));
}

Bus::~Bus() {
  for (Device* device : devices_) device->bus_ = nullptr;
}

Result<> Bus::plug(Device& device) {
  if (device.bus_type() == nullptr || std::string_view(device.bus_type()) != bus_kind())
    return fail(EINVAL, "Device '", device.type().name, "' can't go on ", bus_kind(), " bus");
  TRY(check_address(device));  // first: it knows which place is taken
  if (max_devices() != 0 && devices_.size() >= static_cast<size_t>(max_devices()))
    return fail(ENOSPC, "Bus '", bus_name_, "' is full");
  devices_.push_back(&device);
  device.bus_ = this;
  return {};
}

void Bus::unplug(Device& device) {
  if (std::erase(devices_, &device) == 0) return;
  device_left(&device);
  device.bus_ = nullptr;
}

Result<std::shared_ptr<Device>> make_device(std::string_view type, const Json& properties, ValueForm form,
                                            GlobalErrors errors) {
  const TypeInfo* info = TypeRegistry::instance().find(type);
  if (info == nullptr || info->create == nullptr || !info->is_a("device"))
    return fail(EINVAL, "'", type, "' is not a valid device model name");
  auto device = std::static_pointer_cast<Device>(info->create());
  TRY(apply_global_properties(*device, errors));
  if (properties.is_object())
    for (const auto& [key, value] : properties.as_object()) TRY(device->set_property(key, value, form));
  return device;
}

Result<> add_device(std::shared_ptr<Device> device, Bus* bus, Object& parent, std::string name) {
  if (bus != nullptr) TRY(bus->plug(*device));
  parent.add_child(std::move(name), std::static_pointer_cast<Object>(device));
  Result<> realized = device->realize();
  if (realized) return {};
  device->unparent();
  if (bus != nullptr) bus->unplug(*device);
  return realized;
}

Bus* find_bus(Object& root, std::string_view name) {
  for (const auto& child : root.children()) {
    if (auto* bus = dynamic_cast<Bus*>(child.get()); bus != nullptr && bus->bus_name() == name) return bus;
    if (Bus* found = find_bus(*child, name)) return found;
  }
  return nullptr;
}

void for_each_device(Object& root, const std::function<void(Device&)>& fn) {
  // Index loop: `fn` may add or remove children further on.
  for (size_t i = 0; i < root.children().size(); ++i) {
    const std::shared_ptr<Object> child = root.children()[i];
    if (auto* device = dynamic_cast<Device*>(child.get())) fn(*device);
    for_each_device(*child, fn);
  }
}

void reset_devices(Object& root) {
  auto when_realized = [&](void (Device::*step)()) {
    for_each_device(root, [&](Device& d) {
      if (d.realized()) (d.*step)();
    });
  };
  when_realized(&Device::reset);
  when_realized(&Device::reset_exit);
}

void remove_device(Device& device) {
  const std::shared_ptr<Object> alive = device.shared_from_this();
  device.unrealize();
  if (Bus* bus = device.bus()) bus->unplug(device);
  device.unparent();
}

BlockBackend* device_backend(std::string_view id_or_path) {
  Object* object = id_or_path.starts_with('/')
                       ? qom_root().resolve(id_or_path)
                       : qom_root().container("/machine/peripheral").child(id_or_path);
  auto* device = dynamic_cast<Device*>(object);
  return device != nullptr ? device->block_backend() : nullptr;
}

std::string firmware_path(const Device& device) {
  std::string out;
  for (const Device* d = &device; d != nullptr; d = d->bus() != nullptr ? d->bus()->owner() : nullptr)
    if (const std::string name = d->fw_name(); !name.empty()) out.insert(0, str_cat("/", name));
  return out;
}

}  // namespace rhea
