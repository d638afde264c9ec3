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
};
void add_global_property(GlobalProperty global);
std::span<const GlobalProperty> global_properties();

/// Forgets all; for the end of a machine.
void clear_global_properties();

/// Gives a fresh object the values that hold for its type, in their order. Fails with `can't apply global
/// TYPE.NAME=VALUE: …`.
Result<> apply_global_properties(Object& object);

}  // namespace rhea
