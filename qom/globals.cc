#include "qom/globals.h"

#include "util/log.h"

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

namespace {

Result<> apply(Object& object, std::string_view type, std::string_view property, std::string_view value) {
  Result<> set = object.set_property(property, Json(value), ValueForm::kKeyval);
  if (set) return {};
  return Failure(
      std::move(set).error().prepend(str_cat("can't apply global ", type, ".", property, "=", value, ": ")));
}

}  // namespace

Result<> apply_global_properties(Object& object, GlobalErrors errors) {
  const TypeInfo& type = object.type();
  for (const auto& list : globals().compat) {
    for (const CompatProperty& c : list) {
      if (!type.is_a(c.type) || type.find_property(c.property) == nullptr) continue;
      TRY(apply(object, c.type, c.property, c.value));
    }
  }
  for (GlobalProperty& g : globals().given) {
    if (!type.is_a(g.type)) continue;
    g.used = true;
    Result<> applied = apply(object, g.type, g.property, g.value);
    if (!applied && errors == GlobalErrors::kFail) return applied;
    if (!applied) warn_report(applied.error().message());
  }
  return {};
}

void warn_of_unused_globals(bool (*can_come)(const TypeInfo& type)) {
  for (const GlobalProperty& g : globals().given) {
    if (!g.from_user || g.used) continue;
    const TypeInfo* type = TypeRegistry::instance().find(g.type);
    if (type == nullptr || !type->is_a("device"))
      warn_report(str_cat("global ", g.type, ".", g.property, " has invalid class name"));
    else if (!can_come(*type))
      warn_report(str_cat("global ", g.type, ".", g.property, "=", g.value, " not used"));
  }
}

}  // namespace rhea
