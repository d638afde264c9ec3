#include "util/keyval.h"

#include <algorithm>
#include <cstdint>

namespace rhea {

namespace {

constexpr size_t kMaxDepth = 128;     ///< fragments in one key
constexpr size_t kMaxFragment = 127;  ///< bytes in one fragment

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool keyval_is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_help(std::string_view word) {
  return word == "help" || word == "?";
}

bool is_index(std::string_view s) {
  return !s.empty() && s.size() <= 9 && std::ranges::all_of(s, keyval_is_digit);
}

bool is_name(std::string_view s) {
  if (s.empty() || !is_letter(s[0])) return false;
  return std::ranges::all_of(
      s, [](char c) { return is_letter(c) || keyval_is_digit(c) || c == '-' || c == '_'; });
}

/// "007" and "7" are the same index.
std::string_view canonical(std::string_view fragment) {
  if (!is_index(fragment)) return fragment;
  while (fragment.size() > 1 && fragment[0] == '0') fragment.remove_prefix(1);
  return fragment;
}

std::vector<std::string_view> split_key(std::string_view key) {
  std::vector<std::string_view> out;
  for (size_t dot = 0; (dot = key.find('.')) != key.npos; key.remove_prefix(dot + 1))
    out.push_back(key.substr(0, dot));
  out.push_back(key);
  return out;
}

bool strict_key(const std::vector<std::string_view>& fragments) {
  if (fragments.size() > kMaxDepth || !is_name(fragments[0])) return false;
  return std::ranges::all_of(fragments,
                             [](auto f) { return f.size() <= kMaxFragment && (is_name(f) || is_index(f)); });
}

/// Cuts one value off the front of `text`: up to a single comma, which goes too; ",," gives a comma.
std::string take_value(std::string_view& text) {
  std::string out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    out.append(text.substr(0, comma));
    if (comma == text.npos) {
      text = {};
      break;
    }
    const bool doubled = text.substr(comma).starts_with(",,");
    text.remove_prefix(comma + (doubled ? 2 : 1));
    if (!doubled) break;
    out += ',';
  }
  return out;
}

Failure inconsistent(std::string_view prefix) {
  return fail(EINVAL, "Parameters '", prefix, ".*' used inconsistently");
}

/// While keys are inserted, an object is an inner node and anything else a leaf; a leaf that is itself an
/// empty object would look like an inner node, so leaves are wrapped in an array of one.
Result<> insert(Json& root, std::string_view key, const std::vector<std::string_view>& fragments, Json leaf) {
  Json* at = &root;
  for (size_t i = 0; i + 1 < fragments.size(); ++i) {
    Json* next = at->find(canonical(fragments[i]));
    if (next == nullptr) next = &at->set(canonical(fragments[i]), Json::object());
    const auto prefix = key.substr(0, static_cast<size_t>(fragments[i].end() - key.begin()));
    if (!next->is_object()) return inconsistent(prefix);
    at = next;
  }
  const auto last = canonical(fragments.back());
  if (const Json* old = at->find(last); old != nullptr && old->is_object()) return inconsistent(key);
  Json wrapped = Json::array();
  wrapped.push_back(std::move(leaf));
  at->set(last, std::move(wrapped));
  return {};
}

/// Puts the members of `node`, whose keys are all numbers, in their order.
Result<Json> to_array(Json& node, const std::string& path) {
  auto& members = node.as_object();
  std::vector<Json*> slots(members.size());
  for (auto& [name, value] : members) {
    uint64_t index = 0;
    for (char c : name) index = index * 10 + static_cast<uint64_t>(c - '0');
    if (index < slots.size()) slots[index] = &value;
  }
  Json out = Json::array();
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == nullptr) return fail(EINVAL, "Parameter '", path, ".", i, "' missing");
    out.push_back(std::move(*slots[i]));
  }
  return out;
}

/// Unwraps the leaves below `node` and makes arrays of the objects that are to be arrays.
Result<> finish(Json& node, const std::string& path) {
  if (node.is_array()) {
    Json leaf = std::move(node.as_array()[0]);
    node = std::move(leaf);
    return {};
  }
  size_t indices = 0;
  for (auto& [name, value] : node.as_object()) {
    TRY(finish(value, path.empty() ? name : path + "." + name));
    indices += is_index(name);
  }
  if (path.empty() || indices == 0) return {};
  if (indices != node.as_object().size()) return inconsistent(path);
  Json array = TRY(to_array(node, path));
  node = std::move(array);
  return {};
}

void add_flag(Keyval& out, std::string_view word) {
  const bool off = word.size() > 2 && word.starts_with("no");
  const auto key = off ? word.substr(2) : word;
  const char* value = off ? "off" : "on";
  out.values.set(key, value);
  out.warnings.emplace_back(str_cat("short-form boolean option '", word, "' deprecated"),
                            str_cat("Please use ", key, "=", value, " instead"));
}

void flatten_into(Json::Object& out, const Json& value, const std::string& key) {
  if (value.is_object() && !value.as_object().empty()) {
    for (const auto& [name, member] : value.as_object())
      flatten_into(out, member, key.empty() ? name : key + "." + name);
  } else if (value.is_array() && !value.as_array().empty()) {
    size_t i = 0;
    for (const Json& item : value.as_array()) flatten_into(out, item, str_cat(key, ".", i++));
  } else if (!key.empty()) {
    out.emplace_back(key, value);
  }
}

}  // namespace

Result<Keyval> keyval_parse(std::string_view text, std::string_view implied_key) {
  Keyval out;
  Json root = Json::object();
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = std::min(text.find_first_of("=,"), text.size());
    auto key = text.substr(0, end);
    const bool bare = end != 0 && !text.substr(end).starts_with('=');
    if (bare && is_help(key)) {
      out.help = true;
      text.remove_prefix(std::min(end + 1, text.size()));
      continue;
    }
    if (bare && first && !implied_key.empty()) {
      key = implied_key;
    } else {
      if (!strict_key(split_key(key))) return fail(EINVAL, "Invalid parameter '", key, "'");
      if (bare) return fail(EINVAL, "Expected '=' after parameter '", key, "'");
      text.remove_prefix(end + 1);
    }
    TRY(insert(root, key, split_key(key), take_value(text)));
  }
  TRY(finish(root, ""));
  out.values = std::move(root);
  return out;
}

Result<Keyval> keyval_parse_flat(std::string_view text, std::string_view implied_key) {
  Keyval out;
  out.values = Json::object();
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = std::min(text.find_first_of("=,"), text.size());
    const auto key = text.substr(0, end);
    const bool bare = !text.substr(end).starts_with('=');
    if (bare && is_help(key)) {
      out.help = true;
      text.remove_prefix(std::min(end + 1, text.size()));
    } else if (bare && first && !implied_key.empty()) {
      out.values.set(implied_key, take_value(text));
    } else if (key.empty()) {
      return fail(EINVAL, "Invalid parameter ''");
    } else if (bare) {
      add_flag(out, key);
      text.remove_prefix(std::min(end + 1, text.size()));
    } else {
      text.remove_prefix(end + 1);
      out.values.set(key, take_value(text));
    }
  }
  return out;
}

Json json_flatten(const Json& object) {
  Json out = Json::object();
  flatten_into(out.as_object(), object, "");
  return out;
}

Result<Json> json_unflatten(const Json& flat) {
  if (!flat.is_object()) return fail(EINVAL, "Invalid parameter type for '<anonymous>', expected: object");
  Json root = Json::object();
  for (const auto& [key, value] : flat.as_object()) {
    const auto fragments = split_key(key);
    if (fragments.size() > kMaxDepth || std::ranges::any_of(fragments, &std::string_view::empty))
      return fail(EINVAL, "Invalid parameter '", key, "'");
    TRY(insert(root, key, fragments, value));
  }
  TRY(finish(root, ""));
  return root;
}

bool id_wellformed(std::string_view id) {
  if (id.empty() || !is_letter(id[0])) return false;
  return std::ranges::all_of(
      id, [](char c) { return is_letter(c) || keyval_is_digit(c) || c == '-' || c == '.' || c == '_'; });
}

}  // namespace rhea
