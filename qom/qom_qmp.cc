// QMP: the object tree and the types.
#include <algorithm>

#include "qapi/qapi_commands_qom.h"
#include "qom/object.h"

namespace rhea {

namespace {

Result<Object*> resolve(ObjectRoot& root, const std::string& path) {
  bool ambiguous = false;
  if (Object* o = root.resolve(path, &ambiguous)) return o;
  if (ambiguous) return fail(EINVAL, "Path '", path, "' is ambiguous");
  return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "Device '", path, "' not found");
}

/// qom-get and qom-set do not tell an ambiguous path from an unknown one.
Result<Object*> resolve_one(ObjectRoot& root, const std::string& path) {
  if (Object* o = root.resolve(path)) return o;
  return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "Device '", path, "' not found");
}

ObjectPropertyInfo info_of(const PropertyListing& listing) {
  ObjectPropertyInfo info;
  info.name = listing.name;
  info.type = listing.type;
  if (!listing.description.empty()) info.description = listing.description;
  return info;
}

Result<const TypeInfo*> find_type(const std::string& name, std::string_view what) {
  if (const TypeInfo* type = TypeRegistry::instance().find(name)) return type;
  return fail_class(ErrorClass::kDeviceNotFound, ENOENT, what, " '", name, "' not found");
}

}  // namespace

Result<std::vector<ObjectPropertyInfo>> qmp_qom_list(QmpContext& ctx, QomListArgs args) {
  Object* object = TRY(resolve(ctx.qom, args.path));
  std::vector<ObjectPropertyInfo> out;
  for (const auto& listing : object->list_properties()) {
    ObjectPropertyInfo info = info_of(listing);
    info.description.reset();  // qom-list gives names and types
    out.push_back(std::move(info));
  }
  return out;
}

Result<Json> qmp_qom_get(QmpContext& ctx, QomGetArgs args) {
  return TRY(resolve_one(ctx.qom, args.path))->get_property(args.property);
}

Result<> qmp_qom_set(QmpContext& ctx, QomSetArgs args) {
  return TRY(resolve_one(ctx.qom, args.path))->set_property(args.property, args.value);
}

Result<std::vector<ObjectTypeInfo>> qmp_qom_list_types(QmpContext&, QomListTypesArgs args) {
  std::vector<ObjectTypeInfo> out;
  for (const auto& [name, type] : TypeRegistry::instance().all()) {
    if (type->abstract() && !args.abstract.value_or(false)) continue;
    if (args.implements && !type->is_a(*args.implements)) continue;
    ObjectTypeInfo& info = out.emplace_back();
    info.name = name;
    if (type->abstract()) info.abstract = true;
    if (type->parent != nullptr) info.parent = type->parent->name;
  }
  return out;
}

Result<std::vector<ObjectPropertyInfo>> qmp_qom_list_properties(QmpContext&, QomListPropertiesArgs args) {
  const TypeInfo* type = TRY(find_type(args.typename_, "Class"));
  std::vector<ObjectPropertyInfo> out{info_of({"type", "string", ""})};
  for (TypeProperty& p : type_properties(*type))
    out.push_back(info_of({std::move(p.name), std::move(p.type), std::move(p.description)}));
  return out;
}

Result<std::vector<ObjectPropertyInfo>> qmp_device_list_properties(QmpContext&,
                                                                   DeviceListPropertiesArgs args) {
  const TypeInfo* type = TRY(find_type(args.typename_, "Device"));
  if (!type->is_a("device") || type->abstract())
    return fail(EINVAL, "Parameter 'typename' expects a non-abstract device type");
  std::vector<ObjectPropertyInfo> out;
  for (TypeProperty& p : device_type_properties(*type)) {
    ObjectPropertyInfo info = info_of({std::move(p.name), std::move(p.type), std::move(p.description)});
    info.default_value = std::move(p.default_value);
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace rhea
