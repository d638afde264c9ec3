#include "block/graph/options.h"

#include <algorithm>

namespace rhea {

std::string_view option_origin_name(OptionOrigin o) {
  static constexpr std::string_view kNames[] = {"explicit",  "json",    "filename",
                                                "inherited", "default", "image"};
  return kNames[static_cast<size_t>(o)];
}

namespace {

void flatten(OptionTree& out, const std::string& prefix, const Json& value, OptionOrigin origin) {
  if (value.is_object() && (!value.as_object().empty() || prefix.empty())) {
    for (const auto& [key, member] : value.as_object())
      flatten(out, prefix.empty() ? key : str_cat(prefix, ".", key), member, origin);
  } else if (value.is_array()) {
    size_t index = 0;
    for (const Json& item : value.as_array()) flatten(out, str_cat(prefix, ".", index++), item, origin);
  } else if (!value.is_object()) {
    out.set(prefix, value, origin);
  }
}

void set_nested(Json& object, std::string_view key, const Json& value) {
  const size_t dot = key.find('.');
  if (dot == std::string_view::npos) {
    object.set(key, value);
    return;
  }
  Json* member = object.find(key.substr(0, dot));
  if (member == nullptr || !member->is_object()) {
    object.set(key.substr(0, dot), Json::object());
    member = object.find(key.substr(0, dot));
  }
  set_nested(*member, key.substr(dot + 1), value);
}

bool is_below(std::string_view key, std::string_view prefix) {
  return key.size() > prefix.size() && key.starts_with(prefix) && key[prefix.size()] == '.';
}

}  // namespace

OptionTree OptionTree::from_json(const Json& object, OptionOrigin origin) {
  OptionTree out;
  flatten(out, "", object, origin);
  return out;
}

Json OptionTree::to_json() const {
  Json out = Json::object();
  for (const Entry& e : entries_) set_nested(out, e.key, e.value);
  return out;
}

OptionTree::Entry* OptionTree::find(std::string_view key) {
  auto it = std::ranges::find(entries_, key, &Entry::key);
  return it == entries_.end() ? nullptr : &*it;
}
const OptionTree::Entry* OptionTree::find(std::string_view key) const {
  return const_cast<OptionTree*>(this)->find(key);
}

bool OptionTree::has_below(std::string_view prefix) const {
  return std::ranges::any_of(entries_, [&](const Entry& e) { return is_below(e.key, prefix); });
}

const Json* OptionTree::get(std::string_view key) const {
  const Entry* e = find(key);
  return e != nullptr ? &e->value : nullptr;
}

std::optional<OptionOrigin> OptionTree::origin(std::string_view key) const {
  const Entry* e = find(key);
  return e != nullptr ? std::optional(e->origin) : std::nullopt;
}

void OptionTree::set(std::string_view key, Json value, OptionOrigin origin) {
  if (Entry* e = find(key)) {
    e->value = std::move(value);
    e->origin = origin;
  } else {
    entries_.push_back({std::string(key), std::move(value), origin, false});
  }
}

void OptionTree::set_default(std::string_view key, Json value, OptionOrigin origin) {
  if (!has(key)) set(key, std::move(value), origin);
}

void OptionTree::erase(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& e) { return e.key == key; });
}

void OptionTree::merge_below(const OptionTree& other) {
  for (const Entry& e : other.entries_) set_default(e.key, e.value, e.origin);
}

OptionTree OptionTree::extract(std::string_view prefix) {
  OptionTree out;
  const auto below = std::stable_partition(entries_.begin(), entries_.end(),
                                           [&](const Entry& e) { return !is_below(e.key, prefix); });
  for (auto e = below; e != entries_.end(); ++e) {
    e->key.erase(0, prefix.size() + 1);
    out.entries_.push_back(std::move(*e));
  }
  entries_.erase(below, entries_.end());
  return out;
}

OptionTree::Entry* OptionTree::consume(std::string_view key) {
  Entry* e = find(key);
  if (e != nullptr) e->consumed = true;
  return e;
}

Result<std::optional<std::string>> OptionTree::take_string(std::string_view key) {
  const Entry* e = consume(key);
  if (e == nullptr) return std::optional<std::string>();
  if (!e->value.is_string()) return fail(EINVAL, "Invalid parameter type for '", key, "', expected: string");
  return std::optional<std::string>(e->value.as_string());
}

Result<std::optional<bool>> OptionTree::take_bool(std::string_view key) {
  const Entry* e = consume(key);
  if (e == nullptr) return std::optional<bool>();
  if (e->value.is_bool()) return std::optional<bool>(e->value.as_bool());
  if (!e->value.is_string()) return fail(EINVAL, "Invalid parameter type for '", key, "', expected: boolean");
  const std::string& s = e->value.as_string();
  if (s == "on" || s == "yes" || s == "true" || s == "y") return std::optional<bool>(true);
  if (s == "off" || s == "no" || s == "false" || s == "n") return std::optional<bool>(false);
  return fail(EINVAL, "Parameter '", key, "' expects 'on' or 'off'");
}

Result<std::optional<uint64_t>> OptionTree::take_size(std::string_view key) {
  const Entry* e = consume(key);
  if (e == nullptr) return std::optional<uint64_t>();
  if (e->value.is_uint()) return std::optional<uint64_t>(e->value.as_uint());
  uint64_t size = 0;
  if (e->value.is_string()) {
    if (parse_size(e->value.as_string(), size)) return std::optional<uint64_t>(size);
    return Failure(
        Error(EINVAL, str_cat("Parameter '", key, "' expects a size"))
            .with_hint("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                       "and exabytes, respectively."));
  }
  return fail(EINVAL, "Parameter '", key, "' expects a non-negative number below 2^64");
}

Result<std::optional<uint64_t>> OptionTree::take_number(std::string_view key) {
  const Entry* e = consume(key);
  if (e == nullptr) return std::optional<uint64_t>();
  if (e->value.is_uint()) return std::optional<uint64_t>(e->value.as_uint());
  uint64_t n = 0;
  if (e->value.is_string() && parse_u64(e->value.as_string(), n)) return std::optional<uint64_t>(n);
  return fail(EINVAL, "Parameter '", key, "' expects a number");
}

Result<std::optional<size_t>> OptionTree::take_choice(std::string_view key,
                                                      std::initializer_list<std::string_view> choices,
                                                      std::string_view fail_text) {
  const Entry* e = consume(key);
  if (e == nullptr) return std::optional<size_t>();
  // A typed "on" may arrive as a boolean where the option is a choice between names.
  const std::string text = e->value.is_bool() ? (e->value.as_bool() ? "on" : "off")
                                              : (e->value.is_string() ? e->value.as_string() : std::string());
  const auto it = std::ranges::find(choices, text);
  if (it != choices.end()) return std::optional<size_t>(it - choices.begin());
  if (!fail_text.empty()) return fail(EINVAL, fail_text);
  return fail(EINVAL, "Parameter '", key, "' does not accept value '", text, "'");
}

std::vector<std::string> OptionTree::leftover() const {
  std::vector<std::string> keys;
  for (const Entry& e : entries_)
    if (!e.consumed) keys.push_back(e.key);
  return keys;
}

bool operator==(const OptionTree& a, const OptionTree& b) {
  if (a.entries_.size() != b.entries_.size()) return false;
  return std::ranges::all_of(a.entries_, [&](const OptionTree::Entry& e) {
    const Json* other = b.get(e.key);
    return other != nullptr && *other == e.value;
  });
}

}  // namespace rhea
