#include "qapi/visit.h"

#include <charconv>
#include <cmath>

namespace rhea::qapi {

namespace {
std::string quoted(std::string_view before, const std::string& name, std::string_view after) {
  return str_cat(before, "'", name, "'", after);
}
}  // namespace

std::string Reader::path() const {
  std::string out;
  for (const Step& step : path_) {
    if (step.name != nullptr) {
      if (!out.empty()) out += '.';
      out += step.name;
    } else if (keyval()) {
      str_append(out, ".", step.index);
    } else {
      str_append(out, "[", step.index, "]");
    }
  }
  return out.empty() ? "<anonymous>" : out;
}

/// Clients know this one message with the member's own name, not with its path.
std::string Reader::enum_path() const {
  return path_.empty() || path_.back().name == nullptr ? path() : path_.back().name;
}

void Reader::refuse(std::string message) {
  if (!error_) error_.emplace(EINVAL, std::move(message));
}

void Reader::wrong_type(std::string_view expected) {
  refuse(str_cat("Invalid parameter type for '", path(), "', expected: ", expected));
}

Json* Reader::enter(const char* name, bool required) {
  if (error_) return nullptr;
  Object& object = objects_.back();
  auto& members = *object.members;
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].first != name) continue;
    if (!object.used[i]) {
      object.used[i] = true;
      ++object.used_count;
    }
    path_.push_back({name, 0});
    return &members[i].second;
  }
  if (required) {
    path_.push_back({name, 0});
    refuse(quoted("Parameter ", path(), " is missing"));
    path_.pop_back();
  }
  return nullptr;
}

bool Reader::begin_object(Json& v) {
  if (error_) return false;
  if (!v.is_object()) {
    wrong_type("object");
    return false;
  }
  auto& members = v.as_object();
  objects_.push_back({&members, path_.size(), std::vector<bool>(members.size()), 0});
  return true;
}

void Reader::end_object() {
  Object& object = objects_.back();
  if (!error_ && object.used_count != object.members->size()) {
    size_t i = 0;
    while (object.used[i]) ++i;
    path_.push_back({(*object.members)[i].first.c_str(), 0});
    refuse(quoted("Parameter ", path(), " is unexpected"));
    path_.pop_back();
  }
  objects_.pop_back();
}

void Reader::value(Json& v, bool& out) {
  if (keyval()) {
    if (!v.is_string()) return wrong_type("boolean");
    const std::string& s = v.as_string();
    if (s == "on" || s == "yes" || s == "true" || s == "y")
      out = true;
    else if (s == "off" || s == "no" || s == "false" || s == "n")
      out = false;
    else
      refuse(quoted("Parameter ", path(), " expects 'on' or 'off'"));
    return;
  }
  if (!v.is_bool()) return wrong_type("boolean");
  out = v.as_bool();
}

/// Reads an integer in either form: `out` where it fits int64_t (true), else `positive`, or refuses (false).
bool Reader::whole_number(const Json& v, int64_t& out, uint64_t& positive) {
  positive = 0;
  if (!keyval()) {
    if (v.is_int()) {
      out = v.as_int();
      return true;
    }
    if (v.is_uint())
      positive = v.as_uint();
    else
      wrong_type("integer");
    return false;
  }
  if (!v.is_string()) {
    wrong_type("integer");
    return false;
  }
  if (parse_i64(v.as_string(), out)) return true;
  if (!parse_u64(v.as_string(), positive)) refuse(quoted("Parameter ", path(), " expects integer"));
  return false;
}

void Reader::value(Json& v, int64_t& out) {
  uint64_t too_large = 0;
  if (whole_number(v, out, too_large) || !ok()) return;
  if (keyval())
    refuse(quoted("Parameter ", path(), " expects integer"));
  else
    wrong_type("integer");
}

void Reader::value(Json& v, uint64_t& out) {
  // A negative number is taken modulo 2^64, as existing clients of the protocol rely on.
  if (!keyval() && !v.is_int() && !v.is_uint())
    return refuse(quoted("Parameter ", path(), " expects uint64"));
  int64_t n = 0;
  if (whole_number(v, n, out)) out = static_cast<uint64_t>(n);
}

int64_t Reader::checked(const Json& v, int64_t min, int64_t max, const char* type) {
  int64_t n = 0;
  uint64_t too_large = 0;
  if (whole_number(v, n, too_large) && n >= min && n <= max) return n;
  if (ok()) refuse(str_cat("Parameter '", path(), "' expects ", type));
  return 0;
}

void Reader::value(Json& v, double& out) {
  if (keyval()) {
    if (!v.is_string()) return wrong_type("number");
    const std::string& s = v.as_string();
    auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
    if (ec != std::errc() || end != s.data() + s.size() || !std::isfinite(out)) wrong_type("number");
    return;
  }
  if (!v.is_number()) return wrong_type("number");
  out = v.as_double();
}

void Reader::value(Json& v, std::string& out) {
  if (!v.is_string()) return wrong_type("string");
  out = std::move(v.as_string());
}

void Reader::value(Json& v, std::nullptr_t&) {
  const bool null = keyval() ? v.is_string() && v.as_string().empty() : v.is_null();
  if (!null) wrong_type("null");
}

void Reader::size_value(const Json& v, uint64_t& out) {
  if (!v.is_string()) return wrong_type("size");
  if (!parse_size(v.as_string(), out)) refuse(quoted("Parameter ", path(), " expects a size value"));
}

void Reader::size_member(const char* name, uint64_t& out) {
  if (!keyval()) return member(name, out);
  if (Json* v = enter(name, true)) {
    size_value(*v, out);
    leave();
  }
}

void Reader::size_member(const char* name, std::optional<uint64_t>& out) {
  if (!keyval()) return member(name, out);
  if (Json* v = enter(name, false)) {
    size_value(*v, out.emplace());
    leave();
  }
}

unsigned Reader::enum_value(const Json& v, std::span<const std::string_view> names) {
  if (!v.is_string()) {
    wrong_type("string");
    return 0;
  }
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == v.as_string()) return static_cast<unsigned>(i);
  refuse(str_cat("Parameter '", enum_path(), "' does not accept value '", v.as_string(), "'"));
  return 0;
}

Kind Reader::kind(const Json& v) const {
  if (v.is_null()) return Kind::kNull;
  if (v.is_bool()) return Kind::kBool;
  if (v.is_int() || v.is_uint()) return Kind::kInt;
  if (v.is_number()) return Kind::kNumber;
  if (v.is_string()) return Kind::kString;
  return v.is_array() ? Kind::kArray : Kind::kObject;
}

void TextWriter::integer(int64_t v) {
  char buf[24];
  out_.append(buf, std::to_chars(buf, buf + sizeof buf, v).ptr);
}

void TextWriter::integer(uint64_t v) {
  char buf[24];
  out_.append(buf, std::to_chars(buf, buf + sizeof buf, v).ptr);
}

void TreeWriter::add(Json v) {
  if (open_.empty())
    result_ = std::move(v);
  else if (Json& parent = open_.back().value; parent.is_array())
    parent.as_array().push_back(std::move(v));
  else
    parent.as_object().emplace_back(key_, std::move(v));
}

}  // namespace rhea::qapi
