// Objects that a user makes with -object or object-add; they live under /objects.
#pragma once

#include "qom/object.h"

namespace rhea {

struct ObjectOptions;

/// The base of such types. Machine lock.
class UserCreatable : public Object {
 public:
  static constexpr const char* kInterfaces[] = {"user-creatable"};

  /// All properties are set and the object has its place: makes it usable. After a failure it goes away.
  virtual Result<> complete() { return {}; }
  virtual bool can_be_deleted() const { return true; }
};

/// Makes the object that `options` ("qom-type", "id" and its properties) describe, at /objects/ID. Nothing is
/// left after a failure.
Result<> object_add(const ObjectOptions& options);
/// The same from an option's or command's arguments: "Parameter 'size' is missing" and the like.
Result<> object_add(Json options, ValueForm form);
/// Removes it: "object 'ID' not found", "object 'ID' is in use, can not be deleted".
Result<> object_del(std::string_view id);

}  // namespace rhea
