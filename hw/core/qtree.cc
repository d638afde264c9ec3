// "info qtree": buses and the devices on them.
#include <algorithm>

#include "hw/core/device.h"

namespace rhea {

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

/// The interrupt lines: how many of each name.
void qtree_lines(const Device& device, const std::string& pad, std::string& out) {
  for (const auto& group : device.irq_inputs())
    str_append(out, pad, "  gpio-in \"", group.name, "\" ", group.count, "\n");
  std::vector<std::string_view> shown_names;
  for (const auto& output : device.irq_outputs()) {
    if (std::ranges::find(shown_names, output.name) != shown_names.end()) continue;
    shown_names.push_back(output.name);
    const auto count = std::ranges::count(device.irq_outputs(), output.name, &Device::IrqOutput::name);
    str_append(out, pad, "  gpio-out \"", output.name, "\" ", count, "\n");
  }
}

void qtree_bus(const Bus& bus, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  str_append(out, pad, "bus: ", bus.bus_name(), "\n", pad, "  type ", bus.type().name, "\n");
  for (auto it = bus.devices().rbegin(); it != bus.devices().rend(); ++it)
    qtree_device(**it, indent + 2, out);
}

void qtree_device(const Device& device, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  str_append(out, pad, "dev: ", device.type().name, ", id \"", device.id(), "\"\n");
  qtree_lines(device, pad, out);
  for (const TypeInfo* t = &device.type(); t != nullptr && t != &Device::kType; t = t->parent)
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

/// The board's own devices, in the order in which they were made.
void find_roots(const Object& at, std::vector<const Device*>& out) {
  for (const auto& child : at.children()) {
    const auto* device = dynamic_cast<const Device*>(child.get());
    if (device != nullptr && device->bus() == nullptr && device->type().is_a("sys-bus-device"))
      out.push_back(device);
    if (dynamic_cast<const Bus*>(child.get()) == nullptr) find_roots(*child, out);
  }
}

}  // namespace

std::string qtree_text(Object& root) {
  std::string out = "bus: main-system-bus\n  type System\n";
  std::vector<const Device*> roots;
  find_roots(root, roots);
  for (auto it = roots.rbegin(); it != roots.rend(); ++it) qtree_device(**it, 2, out);
  return out;
}

}  // namespace rhea
