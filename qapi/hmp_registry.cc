#include "qapi/hmp_registry.h"

#include <algorithm>

namespace rhea {

namespace {
bool is_info(const HmpCommand& command) {
  return command.name.starts_with("info ");
}
}  // namespace

std::string_view HmpCall::str(std::string_view name) const {
  const Json* v = args.find(name);
  return v != nullptr && v->is_string() ? std::string_view(v->as_string()) : std::string_view();
}

bool HmpCall::flag(std::string_view name) const {
  const Json* v = args.find(name);
  return v != nullptr && v->is_bool() && v->as_bool();
}

int64_t HmpCall::number(std::string_view name, int64_t fallback) const {
  const Json* v = args.find(name);
  return v != nullptr && v->is_int() ? v->as_int() : fallback;
}

bool hmp_name_matches(std::string_view names, std::string_view name) {
  if (name.empty()) return false;
  while (true) {
    const size_t bar = names.find('|');
    if (names.substr(0, bar) == name) return true;
    if (bar == std::string_view::npos) return false;
    names.remove_prefix(bar + 1);
  }
}

void HmpRegistry::add(const HmpCommand& command) {
  const auto at = std::ranges::lower_bound(commands_, command.name, {}, &HmpCommand::name);
  if (at != commands_.end() && at->name == command.name)
    *at = command;
  else
    commands_.insert(at, command);
}

const HmpCommand* HmpRegistry::find(std::string_view name) const {
  const auto it =
      std::ranges::find_if(commands_, [&](const auto& c) { return hmp_name_matches(c.name, name); });
  return it == commands_.end() ? nullptr : &*it;
}

std::vector<const HmpCommand*> HmpRegistry::commands() const {
  std::vector<const HmpCommand*> out;
  for (const HmpCommand& c : commands_)
    if (!is_info(c)) out.push_back(&c);
  return out;
}

std::vector<const HmpCommand*> HmpRegistry::info_commands() const {
  std::vector<const HmpCommand*> out;
  for (const HmpCommand& c : commands_)
    if (is_info(c)) out.push_back(&c);
  return out;
}

HmpRegistry& hmp_registry() {
  static HmpRegistry registry;
  return registry;
}

}  // namespace rhea
