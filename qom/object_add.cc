// -object, object-add, object-del.
#include "qapi/qapi_commands_qom.h"
#include "qom/user_creatable.h"
#include "util/keyval.h"

namespace rhea {

namespace {

Object& objects() {
  return qom_root().container("/objects");
}

Result<std::shared_ptr<UserCreatable>> make(std::string_view type_name) {
  const TypeInfo* type = TypeRegistry::instance().find(type_name);
  if (type == nullptr || type->create == nullptr || !type->is_a("user-creatable"))
    return fail(EINVAL, "invalid object type: ", type_name);
  return std::static_pointer_cast<UserCreatable>(type->create());
}

}  // namespace

Result<> object_add(Json tree, ValueForm form) {
  return object_add(TRY(from_json<ObjectOptions>(std::move(tree), form)));
}

Result<> object_add(const ObjectOptions& options) {
  if (!id_wellformed(options.id)) {
    Error error(EINVAL, "Parameter 'id' expects an identifier");
    return Failure(std::move(error).with_hint(
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."));
  }
  Json properties = to_json(options);
  properties.take("id");
  const std::string type = properties.take("qom-type").as_string();
  std::shared_ptr<UserCreatable> object = TRY(make(type));
  for (const auto& [name, value] : properties.as_object()) TRY(object->set_property(name, value));
  if (objects().child(options.id) != nullptr)
    return fail(EEXIST, "attempt to add duplicate property '", options.id, "' to object (type 'container')");
  objects().add_child(options.id, std::static_pointer_cast<Object>(object));
  Result<> completed = object->complete();
  if (!completed) object->unparent();
  return completed;
}

Result<> object_del(std::string_view id) {
  auto* object = dynamic_cast<UserCreatable*>(objects().child(id));
  if (object == nullptr) return fail(ENOENT, "object '", id, "' not found");
  if (!object->can_be_deleted()) return fail(EBUSY, "object '", id, "' is in use, can not be deleted");
  object->unparent();
  return {};
}

Result<> qmp_object_add(QmpContext&, ObjectOptions args) {
  return object_add(args);
}

Result<> qmp_object_del(QmpContext&, ObjectDelArgs args) {
  return object_del(args.id);
}

}  // namespace rhea
