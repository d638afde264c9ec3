// QMP: object-add, object-del; the same for -object.
#include "memory/backend.h"
#include "qapi/qapi_commands_qom.h"
#include "util/keyval.h"

namespace rhea {

namespace {
Object& objects() {
  return qom_root().container("/objects");
}
}  // namespace

Result<> object_add(Json tree, ValueForm form) {
  return object_add(TRY(from_json<ObjectOptions>(std::move(tree), form)));
}

Result<> object_add(const ObjectOptions& options) {
  if (!id_wellformed(options.id)) return fail(EINVAL, "Parameter 'id' expects an identifier");
  if (objects().child(options.id) != nullptr)
    return fail(EEXIST, "attempt to add duplicate property '", options.id, "' to object (type 'container')");
  const auto& properties = std::get<MemoryBackendProperties>(options.u);
  auto backend = std::make_shared<MemoryBackendRam>();
  backend->size = properties.size;
  backend->dump = properties.dump.value_or(true);
  backend->merge = properties.merge.value_or(true);
  backend->prealloc = properties.prealloc.value_or(false);
  backend->share = properties.share.value_or(false);
  objects().add_child(options.id, std::static_pointer_cast<Object>(backend));
  Result<> completed = backend->complete();
  if (!completed) backend->unparent();
  return completed;
}

Result<> qmp_object_add(QmpContext&, ObjectOptions args) {
  return object_add(args);
}

Result<> qmp_object_del(QmpContext&, ObjectDelArgs args) {
  auto* backend = dynamic_cast<MemoryBackendRam*>(objects().child(args.id));
  if (backend == nullptr) return fail(ENOENT, "object '", args.id, "' not found");
  if (backend->in_use) return fail(EBUSY, "object '", args.id, "' is in use, can not be deleted");
  backend->unparent();
  return {};
}

}  // namespace rhea
