// Defaults of types changed from outside: what an older machine type gave its devices, and -global.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "qom/object.h"

namespace rhea {

/// What a machine type changes: of every type that is a `type`, the property's initial value.
struct CompatProperty {
  const char* type;
  const char* property;
  const char* value;  ///< as on a command line
};

/// Adds what the machine says; it comes before everything a user says. `list` lives for ever; types and
/// properties unknown here are passed over.
void add_compat_properties(std::span<const CompatProperty> list);

/// -global type.property=value, and the properties of -cpu.
struct GlobalProperty {
  std::string type, property, value;
  bool from_user = false;  ///< by -global, so that one that means nothing is warned of
  bool used = false;       ///< some object has got it
};
void add_global_property(GlobalProperty global);
std::span<const GlobalProperty> global_properties();

/// Forgets all; for the end of a machine.
void clear_global_properties();

/// What to do with a value that does not fit: a machine that is being made must not come up without it, one
/// that runs goes on.
enum class GlobalErrors : uint8_t { kFail, kWarn };

/// Gives a fresh object the values that hold for its type, in their order. Fails with, or warns of, `can't
/// apply global TYPE.NAME=VALUE: …`.
Result<> apply_global_properties(Object& object, GlobalErrors errors = GlobalErrors::kFail);

/// Warns of those that name no type of device.
/// \param can_come  whether a device of the type may still be made; where not, one that none got is warned of
void warn_of_unused_globals(bool (*can_come)(const TypeInfo& type));

}  // namespace rhea
