// What a type offers: its properties for introspection and for "TYPE,help".
#include <algorithm>
#include <array>
#include <set>

#include "qom/object.h"

namespace rhea {

namespace {

constexpr std::array<std::string_view, 5> kNotForUsers = {"type", "parent_bus", "realized", "hotplugged",
                                                          "hotpluggable"};

TypeProperty describe(const PropertyInfo& p, const Object* fresh) {
  TypeProperty out{p.name, p.type, p.description != nullptr ? p.description : "", std::nullopt};
  if (fresh == nullptr || p.get == nullptr || !p.has_default) return out;
  Json value = p.get(*fresh);
  // A string that nobody set has no default to show.
  if (value != Json("")) out.default_value = std::move(value);
  return out;
}

}  // namespace

std::vector<TypeProperty> type_properties(const TypeInfo& type) {
  const std::shared_ptr<Object> fresh = type.create != nullptr ? type.create() : nullptr;
  std::vector<TypeProperty> out;
  std::set<std::string, std::less<>> names;
  auto known = [&](std::string_view name) { return !names.emplace(name).second; };
  for (const TypeInfo* t = &type; t != nullptr; t = t->parent)
    for (const PropertyInfo& p : t->properties)
      if (!known(p.name)) out.push_back(describe(p, fresh.get()));
  if (fresh == nullptr) return out;
  for (PropertyListing& l : fresh->list_properties())
    if (l.name != "type" && !known(l.name))
      out.push_back({std::move(l.name), std::move(l.type), std::move(l.description), std::nullopt});
  return out;
}

std::vector<TypeProperty> device_type_properties(const TypeInfo& type) {
  std::vector<TypeProperty> out = type_properties(type);
  std::erase_if(out, [](const TypeProperty& p) {
    return std::ranges::find(kNotForUsers, std::string_view(p.name)) != kNotForUsers.end();
  });
  return out;
}

std::string properties_help(std::string_view title, const std::vector<TypeProperty>& properties) {
  std::vector<std::string> lines;
  for (const TypeProperty& p : properties) {
    std::string line = str_cat("  ", p.name, "=<", p.type, ">");
    if (!p.description.empty() || p.default_value) {
      line.resize(std::max<size_t>(line.size(), 24), ' ');
      str_append(line, " - ", p.description);
    }
    if (p.default_value) str_append(line, " (default: ", p.default_value->dump(), ")");
    lines.push_back(std::move(line));
  }
  std::ranges::sort(lines);
  std::string out = str_cat(title, " options:\n");
  for (const std::string& line : lines) str_append(out, line, "\n");
  return out;
}

}  // namespace rhea
