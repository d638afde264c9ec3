#include "hw/core/device.h"

#include <algorithm>

namespace rhea {

constexpr TypeInfo Device::kType{.name = "device", .parent = &Object::kType};
constexpr TypeInfo Bus::kType{.name = "bus", .parent = &Object::kType};

Device::Device() {
  add_link("parent_bus", "bus", [this] { return static_cast<Object*>(bus_); });
  add_value("realized", "bool", [this]() -> Json { return realized_; });
  add_value("hotplugged", "bool", [this]() -> Json { return hotplugged_; });
  add_value("hotpluggable", "bool", [this]() -> Json { return hotpluggable(); });
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

void Device::set_irq(int n, int level) {
  if (tap_) {
    if (static_cast<size_t>(n) >= tap_levels_.size()) tap_levels_.resize(static_cast<size_t>(n) + 1);
    if (std::exchange(tap_levels_[static_cast<size_t>(n)], level) != level) tap_(n, level);
  }
  irq_input(n, level);
}

void Device::tap_outputs(IrqTap::Report report) {
  int n = 0;
  for (IrqLine* line : outputs_) {
    output_taps_.push_back(std::make_unique<IrqTap>(*line, n, report));
    *line = IrqLine(*output_taps_.back(), n++);
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

Result<std::shared_ptr<Device>> make_device(std::string_view type, const Json& properties, ValueForm form) {
  const TypeInfo* info = TypeRegistry::instance().find(type);
  if (info == nullptr || info->abstract() || !info->is_a("device"))
    return fail(EINVAL, "'", type, "' is not a valid device model name");
  auto device = std::static_pointer_cast<Device>(info->create());
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

namespace {

/// Lists and objects are for qom-get.
bool fits_a_line(const PropertyInfo& p, const Device& device) {
  if (p.get == nullptr) return false;
  const Json value = p.get(device);
  return !value.is_array() && !value.is_object();
}

std::string shown(const PropertyInfo& p, const Device& device) {
  if (p.print != nullptr) return p.print(device);
  const Json value = p.get(device);
  if (value.is_string()) return str_cat("\"", value.as_string(), "\"");
  if (!value.is_uint() && !value.is_int()) return value.dump();
  const uint64_t bits = value.is_uint() ? value.as_uint() : static_cast<uint64_t>(value.as_int());
  return str_cat(value.dump(), " (0x", hex(bits), ")");
}

void qtree_device(const Device& device, int indent, std::string& out);

void qtree_bus(const Bus& bus, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  str_append(out, pad, "bus: ", bus.bus_name(), "\n", pad, "  type ", bus.type().name, "\n");
  for (auto it = bus.devices().rbegin(); it != bus.devices().rend(); ++it)
    qtree_device(**it, indent + 2, out);
}

void qtree_device(const Device& device, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  str_append(out, pad, "dev: ", device.type().name, ", id \"", device.id(), "\"\n");
  for (const TypeInfo* t = &device.type(); t != nullptr; t = t->parent)
    for (const auto& p : t->properties)
      if (fits_a_line(p, device)) str_append(out, pad, "  ", p.name, " = ", shown(p, device), "\n");
  std::string lines;
  device.describe(lines);
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    str_append(out, pad, "  ", lines.substr(0, end), "\n");
    lines.erase(0, end == std::string::npos ? end : end + 1);
  }
  for (const auto& bus : device.child_buses()) qtree_bus(*bus, indent + 2, out);
}

void qtree_roots(const Object& at, std::string& out) {
  for (const auto& child : at.children()) {
    const auto* device = dynamic_cast<const Device*>(child.get());
    if (device != nullptr && device->bus() == nullptr) qtree_device(*device, 2, out);
    if (device == nullptr || device->bus() == nullptr) {
      if (dynamic_cast<const Bus*>(child.get()) == nullptr) qtree_roots(*child, out);
    }
  }
}

}  // namespace

std::string qtree_text(Object& root) {
  std::string out = "bus: main-system-bus\n  type System\n";
  qtree_roots(root, out);
  return out;
}

}  // namespace rhea
