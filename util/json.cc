#include "util/json.h"

#define RAPIDJSON_HAS_STDSTRING 1
#define RAPIDJSON_PARSE_DEFAULT_FLAGS \
  kParseIterativeFlag | kParseFullPrecisionFlag | kParseValidateEncodingFlag
#include <rapidjson/error/error.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <cmath>

#include "util/utf8.h"

namespace rhea {

double Json::as_double() const {
  if (is_int()) return static_cast<double>(as_int());
  if (const auto* u = std::get_if<uint64_t>(&v_)) return static_cast<double>(*u);
  return std::get<double>(v_);
}

const Json* Json::find(std::string_view key) const {
  const auto* object = std::get_if<Object>(&v_);
  if (object == nullptr) return nullptr;
  for (const auto& [name, value] : *object)
    if (name == key) return &value;
  return nullptr;
}

Json* Json::find(std::string_view key) {
  return const_cast<Json*>(std::as_const(*this).find(key));
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) v_ = Object();
  if (Json* old = find(key)) return *old = std::move(value);
  auto& object = std::get<Object>(v_);
  object.emplace_back(std::string(key), std::move(value));
  return object.back().second;
}

Json Json::take(std::string_view key, bool* present) {
  if (present != nullptr) *present = false;
  auto* object = std::get_if<Object>(&v_);
  if (object == nullptr) return {};
  for (auto it = object->begin(); it != object->end(); ++it) {
    if (it->first != key) continue;
    Json value = std::move(it->second);
    object->erase(it);
    if (present != nullptr) *present = true;
    return value;
  }
  return {};
}

void Json::push_back(Json value) {
  if (is_null()) v_ = Array();
  std::get<Array>(v_).push_back(std::move(value));
}

std::string_view Json::type_name() const {
  static constexpr std::string_view kNames[] = {"null",   "boolean", "integer", "integer",
                                                "number", "string",  "array",   "object"};
  return kNames[v_.index()];
}

bool operator==(const Json& a, const Json& b) {
  if (a.is_object() && b.is_object()) {
    const auto& members = a.as_object();
    if (members.size() != b.as_object().size()) return false;
    for (const auto& [key, value] : members) {
      const Json* other = b.find(key);
      if (other == nullptr || !(*other == value)) return false;
    }
    return true;
  }
  return a.v_ == b.v_;
}

namespace {

void write_code(std::string& out, unsigned unit) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[unit >> shift & 15];
}

/// A code point outside of ASCII, as one or two UTF-16 units.
void write_code_point(std::string& out, char32_t c) {
  if (c < 0x10000) return write_code(out, c);
  write_code(out, 0xd800 + ((c - 0x10000) >> 10));
  write_code(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

void write_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      return write_code(out, c);
  }
}

void write_double(std::string& out, double d) {
  char buf[32];
  out.append(buf, std::to_chars(buf, buf + sizeof buf, d, std::chars_format::general, 17).ptr);
}

}  // namespace

void json_write_string(std::string& out, std::string_view s) {
  out += '"';
  while (!s.empty()) {
    size_t plain = 0;
    while (plain < s.size() && static_cast<unsigned char>(s[plain]) >= 0x20 &&
           static_cast<unsigned char>(s[plain]) < 0x7f && s[plain] != '"' && s[plain] != '\\')
      ++plain;
    out.append(s.substr(0, plain));
    s.remove_prefix(plain);
    if (s.empty()) break;
    const auto c = static_cast<unsigned char>(s[0]);
    if (c < 0x80) {
      write_escape(out, c);
      s.remove_prefix(1);
    } else {
      const Utf8Character next = utf8_decode(s);
      write_code_point(out, next.length != 0 ? next.code : 0xfffd);
      s.remove_prefix(next.length != 0 ? next.length : 1);
    }
  }
  out += '"';
}

void Json::write(std::string& out) const {
  if (const auto* s = std::get_if<std::string>(&v_)) return json_write_string(out, *s);
  if (is_null())
    out += "null";
  else if (const auto* b = std::get_if<bool>(&v_))
    out += *b ? "true" : "false";
  else if (const auto* i = std::get_if<int64_t>(&v_))
    str_append(out, *i);
  else if (const auto* u = std::get_if<uint64_t>(&v_))
    str_append(out, *u);
  else if (const auto* d = std::get_if<double>(&v_))
    write_double(out, *d);
  else if (const auto* array = std::get_if<Array>(&v_)) {
    out += '[';
    for (const auto& item : *array) {
      if (&item != array->data()) out += ", ";
      item.write(out);
    }
    out += ']';
  } else if (const auto* object = std::get_if<Object>(&v_)) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->data()) out += ", ";
      json_write_string(out, member.first);
      out += ": ";
      member.second.write(out);
    }
    out += '}';
  }
}

void Json::write_pretty(std::string& out, int level) const {
  const bool array = is_array();
  if ((!array && !is_object()) || (array ? as_array().empty() : as_object().empty())) return write(out);
  auto indent = [&](int n) {
    out += '\n';
    out.append(static_cast<size_t>(n) * 4, ' ');
  };
  out += array ? '[' : '{';
  bool first = true;
  auto separate = [&] {
    if (!first) out += ',';
    first = false;
    indent(level + 1);
  };
  if (array) {
    for (const auto& item : as_array()) separate(), item.write_pretty(out, level + 1);
  } else {
    for (const auto& [key, value] : as_object()) {
      separate();
      json_write_string(out, key);
      out += ": ";
      value.write_pretty(out, level + 1);
    }
  }
  indent(level);
  out += array ? ']' : '}';
}

std::string Json::dump() const {
  std::string out;
  write(out);
  return out;
}

namespace {

namespace rj = rapidjson;

/// False for surrogates standing alone and for code points that are no characters (U+FFFE, U+FDD0 …).
bool all_characters(std::string_view s) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (static_cast<unsigned char>(s[i]) < 0xed) continue;  // neither of them can begin here
    const Utf8Character c = utf8_decode(s.substr(i));
    if (c.length == 0 || is_noncharacter(c.code)) return false;
    i += c.length - 1;
  }
  return true;
}

/// Builds a Json from the reader's events; refuses nesting past the limit and duplicate keys.
class Builder : public rj::BaseReaderHandler<rj::UTF8<>, Builder> {
 public:
  bool Null() { return add({}); }
  bool Bool(bool b) { return add(b); }
  bool Int(int n) { return add(n); }
  bool Uint(unsigned n) { return add(n); }
  bool Int64(int64_t n) { return add(n); }
  bool Uint64(uint64_t n) { return add(n); }
  bool Double(double d) { return add(d); }
  bool String(const char* s, rj::SizeType n, bool) {
    return all_characters({s, n}) && add(std::string(s, n));
  }
  bool StartObject() { return open(Json::object()); }
  bool StartArray() { return open(Json::array()); }
  bool Key(const char* s, rj::SizeType n, bool) {
    if (!all_characters({s, n})) return false;
    keys_.back().assign(s, n);
    if (stack_.back().find(keys_.back()) == nullptr) return true;
    error = "JSON parse error, duplicate key";
    return false;
  }
  bool EndObject(rj::SizeType) { return close(); }
  bool EndArray(rj::SizeType) { return close(); }

  Json result;
  std::string error;

 private:
  bool open(Json container) {
    if (stack_.size() >= static_cast<size_t>(JsonSplitter::kMaxNesting)) {
      error = "JSON nesting depth limit exceeded";
      return false;
    }
    stack_.push_back(std::move(container));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    keys_.pop_back();
    return add(std::move(done));
  }
  bool add(Json value) {
    if (stack_.empty())
      result = std::move(value);
    else if (stack_.back().is_array())
      stack_.back().as_array().push_back(std::move(value));
    else
      stack_.back().as_object().emplace_back(std::move(keys_.back()), std::move(value));
    return true;
  }
  std::vector<Json> stack_;
  std::vector<std::string> keys_;
};

/// What is wrong with `text`, which the reader refused with `result`.
std::string error_text(const rj::ParseResult& result, std::string_view text) {
  std::string why = json_diagnose(text);
  if (!why.empty()) return why;
  switch (result.Code()) {  // what the syntax allows and we do not
    case rj::kParseErrorNumberTooBig:
      return "JSON parse error, number too big";
    case rj::kParseErrorStringInvalidEncoding:
      return "JSON parse error, invalid UTF-8 sequence in string";
    default:
      return "JSON parse error, Invalid JSON syntax";
  }
}

/// Rewrites 'single-quoted' strings as "double-quoted" ones.
std::string requote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0) {
      if (c == '\'' || c == '"') quote = c;
      out += c == '\'' ? '"' : c;
    } else if (c == '\\' && i + 1 < text.size()) {
      ++i;
      if (text[i] != '\'') out += '\\';
      out += text[i];
    } else if (c == quote) {
      quote = 0;
      out += '"';
    } else {
      if (c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  // The reader takes a zero byte for the end of the text; it is no part of any value.
  if (text.find('\0') != std::string_view::npos) return fail(EINVAL, json_diagnose(text));
  const std::string_view given = text;
  std::string requoted;
  if (text.find('\'') != std::string_view::npos) text = requoted = requote(text);
  Builder builder;
  rj::MemoryStream stream(text.data(), text.size());
  rj::Reader reader;
  const rj::ParseResult result = reader.Parse(stream, builder);
  if (!result.IsError()) return std::move(builder.result);
  if (result.Code() == rj::kParseErrorTermination && !builder.error.empty())
    return fail(EINVAL, builder.error);
  return fail(EINVAL, error_text(result, given));
}

}  // namespace rhea
