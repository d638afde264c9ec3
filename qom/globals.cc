#include "qom/globals.h"

namespace rhea {

namespace {

struct Globals {
  std::vector<std::span<const CompatProperty>> compat;
  std::vector<GlobalProperty> given;
};

Globals& globals() {
  static auto& all = *new Globals;
  return all;
}

}  // namespace

void add_compat_properties(std::span<const CompatProperty> list) {
  globals().compat.push_back(list);
}

void add_global_property(GlobalProperty global) {
  globals().given.push_back(std::move(global));
}

std::span<const GlobalProperty> global_properties() {
  return globals().given;
}

void clear_global_properties() {
  globals() = {};
}

Result<> apply_global_properties(Object& object) {
  const TypeInfo& type = object.type();
  for (const auto& list : globals().compat) {
    for (const CompatProperty& c : list) {
      if (!type.is_a(c.type) || type.find_property(c.property) == nullptr) continue;
      if (Result<> set = object.set_property(c.property, Json(c.value), ValueForm::kKeyval); !set)
        return Failure(std::move(set).error().prepend(
            str_cat("can't apply global ", c.type, ".", c.property, "=", c.value, ": ")));
    }
  }
  for (const GlobalProperty& g : globals().given) {
    if (!type.is_a(g.type)) continue;
    if (Result<> set = object.set_property(g.property, Json(g.value), ValueForm::kKeyval); !set)
      return Failure(std::move(set).error().prepend(
          str_cat("can't apply global ", g.type, ".", g.property, "=", g.value, ": ")));
  }
  return {};
}

}  // namespace rhea
