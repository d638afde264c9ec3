#include "hw/ide/ide_bus.h"

namespace rhea {

constexpr TypeInfo IdeBus::kType{.name = "IDE", .parent = &Bus::kType, .made_by_owner = true};

namespace {
Json read_unit(const Object& o) {
  return static_cast<const IdeDrive&>(o).unit();
}
Result<> write_unit(Object& o, std::string_view name, const Json& value, ValueForm form) {
  static_cast<IdeDrive&>(o).set_unit(
      static_cast<uint32_t>(TRY(property_uint(name, value, form, UINT32_MAX))));
  return {};
}
}  // namespace

constexpr PropertyInfo IdeDrive::kProperties[] = {
    {.name = "unit", .type = "uint32", .get = read_unit, .set = write_unit}};
constexpr TypeInfo IdeDrive::kType{.name = "ide-device",
                                   .parent = &Device::kType,
                                   .properties = IdeDrive::kProperties,
                                   .category = DeviceCategory::kStorage};

std::string IdeDrive::fw_name() const {
  const IdeBus* bus = ide_bus();
  return bus == nullptr ? std::string() : str_cat("drive@", bus->number(), "/disk@", unit_);
}

IdeBus* IdeDrive::ide_bus() const {
  return static_cast<IdeBus*>(bus());
}
IdeChannel& IdeDrive::channel() const {
  return ide_bus()->channel();
}
IdeUnit& IdeDrive::slot() const {
  return channel().units[unit_];
}

IdeBus::IdeBus(int number) : Bus(str_cat("ide.", number)), number_(number) {}

Result<> IdeBus::check_address(Device& device) {
  auto& drive = static_cast<IdeDrive&>(device);
  auto& units = channel_.units;
  uint32_t unit = drive.unit();
  if (unit == IdeDrive::kAnyUnit) unit = units[0].drive == nullptr ? 0 : 1;
  if (unit >= units.size())
    return fail(EINVAL, "Can't create IDE unit ", unit, ", bus supports only 2 units");
  if (units[unit].drive != nullptr) return fail(EBUSY, "IDE unit ", unit, " is in use");
  drive.set_unit(unit);
  units[unit].drive = &drive;
  return {};
}

void IdeBus::device_left(const Device* device) {
  for (auto& u : channel_.units)
    if (u.drive == device) u = IdeUnit();
}

}  // namespace rhea
