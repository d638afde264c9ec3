#include "util/json.h"

#define RAPIDJSON_HAS_STDSTRING 1
#define RAPIDJSON_PARSE_DEFAULT_FLAGS \
  kParseIterativeFlag | kParseFullPrecisionFlag | kParseValidateEncodingFlag
#include <rapidjson/error/error.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <cmath>

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

/// Length of the UTF-8 sequence at the start of `s`, 0 if it is malformed, overlong, a surrogate or past
/// U+10FFFF.
size_t utf8_length(std::string_view s) {
  const auto lead = static_cast<unsigned char>(s[0]);
  size_t n = lead < 0x80                   ? 1
             : lead >= 0xc2 && lead < 0xe0 ? 2
             : lead >= 0xe0 && lead < 0xf0 ? 3
             : lead >= 0xf0 && lead < 0xf5 ? 4
                                           : 0;
  if (n == 0 || s.size() < n) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((static_cast<unsigned char>(s[i]) & 0xc0) != 0x80) return 0;
  const auto second = n > 1 ? static_cast<unsigned char>(s[1]) : 0;
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90))
    return 0;
  return n;
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
      str_append(out, "\\u00", hex(c, 2));
      return;
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
    } else if (size_t n = utf8_length(s); n != 0) {
      out.append(s.substr(0, n));
      s.remove_prefix(n);
    } else {
      out += "\xef\xbf\xbd";
      s.remove_prefix(1);
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
  bool String(const char* s, rj::SizeType n, bool) { return add(std::string(s, n)); }
  bool StartObject() { return open(Json::object()); }
  bool StartArray() { return open(Json::array()); }
  bool Key(const char* s, rj::SizeType n, bool) {
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
      error = "JSON nesting too deep";
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

std::string_view error_phrase(rj::ParseErrorCode code) {
  switch (code) {
    case rj::kParseErrorDocumentEmpty:
      return "JSON parse error, expecting value";
    case rj::kParseErrorDocumentRootNotSingular:
      return "JSON parse error, unexpected text after the value";
    case rj::kParseErrorValueInvalid:
      return "JSON parse error, expecting value";
    case rj::kParseErrorObjectMissName:
      return "JSON parse error, key is not a string in object";
    case rj::kParseErrorObjectMissColon:
      return "JSON parse error, missing : in object pair";
    case rj::kParseErrorObjectMissCommaOrCurlyBracket:
      return "JSON parse error, expected separator in dict";
    case rj::kParseErrorArrayMissCommaOrSquareBracket:
      return "JSON parse error, expected separator in list";
    case rj::kParseErrorStringUnicodeEscapeInvalidHex:
    case rj::kParseErrorStringUnicodeSurrogateInvalid:
    case rj::kParseErrorStringEscapeInvalid:
      return "JSON parse error, invalid escape sequence in string";
    case rj::kParseErrorStringInvalidEncoding:
      return "JSON parse error, invalid UTF-8 sequence in string";
    case rj::kParseErrorNumberTooBig:
      return "JSON parse error, number too big";
    default:
      return "JSON parse error, Invalid JSON syntax";
  }
}

/// The phrase for `result`, with the word that made no sense.
std::string error_text(const rj::ParseResult& result, std::string_view text) {
  std::string_view rest = text.substr(std::min(result.Offset(), text.size()));
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (result.Code() == rj::kParseErrorObjectMissName && rest.starts_with('}'))
    return "JSON parse error, expecting value";
  if (rest.empty() && result.Code() != rj::kParseErrorDocumentEmpty) return "JSON parse error, premature EOI";
  if (result.Code() != rj::kParseErrorValueInvalid) return std::string(error_phrase(result.Code()));
  size_t begin = text.size() - rest.size(), end = begin;
  while (begin > 0 && is_letter(text[begin - 1])) --begin;
  while (end < text.size() && is_letter(text[end])) ++end;
  if (begin == end || end - begin > 64) return "JSON parse error, expecting value";
  return str_cat("JSON parse error, invalid keyword '", text.substr(begin, end - begin), "'");
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
  std::string requoted;
  if (text.find('\'') != std::string_view::npos) text = requoted = requote(text);
  Builder builder;
  rj::MemoryStream stream(text.data(), text.size());
  rj::Reader reader;
  const rj::ParseResult result = reader.Parse(stream, builder);
  if (!result.IsError()) return std::move(builder.result);
  if (result.Code() == rj::kParseErrorTermination) return fail(EINVAL, builder.error);
  return fail(EINVAL, error_text(result, text));
}

void JsonSplitter::compact() {
  if (begin_ == buf_.size()) {
    buf_.clear();
    if (buf_.capacity() > (size_t{1} << 20)) buf_.shrink_to_fit();  // a huge value is rare
  } else if (begin_ > (size_t{64} << 10)) {
    buf_.erase(0, begin_);
  } else {
    return;
  }
  scan_ -= begin_;
  begin_ = 0;
}

JsonSplitter::Next JsonSplitter::finish(size_t end, std::string_view& text) {
  text = std::string_view(buf_).substr(begin_, end - begin_);
  begin_ = scan_ = end;
  depth_ = 0;
  quote_ = 0;
  last_ = 0;
  escape_ = in_scalar_ = false;
  closers_.clear();
  return Next::kValue;
}

JsonSplitter::Next JsonSplitter::fail_and_resync(std::string_view why, std::string_view& text) {
  std::ignore = finish(scan_, text);
  text = why;
  return Next::kError;
}

/// An object begins a line inside a value where none may stand: the value was cut off.
bool JsonSplitter::begins_another() const {
  if (scan_ == 0 || buf_[scan_ - 1] != '\n') return false;
  if (closers_.back() == '}') return last_ != ':';
  return last_ != '[' && last_ != ',';
}

JsonSplitter::Next JsonSplitter::next(std::string_view& text) {
  compact();
  for (; scan_ < buf_.size(); ++scan_) {
    const char c = buf_[scan_];
    if (scan_ - begin_ >= kMaxBytes) return fail_and_resync("JSON token size limit exceeded", text);
    if (quote_ != 0) {
      if (c == '\n' || (static_cast<unsigned char>(c) < 0x20))
        return ++scan_, fail_and_resync("JSON parse error, stray control character in string", text);
      if (escape_)
        escape_ = false;
      else if (c == '\\')
        escape_ = true;
      else if (c == quote_) {
        quote_ = 0;
        if (depth_ == 0) return finish(scan_ + 1, text);
      }
      continue;
    }
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (depth_ == 0 && in_scalar_ &&
        (space || c == '{' || c == '[' || c == '"' || c == '\'' || c == '}' || c == ']'))
      return finish(scan_, text);
    if (space) {
      if (depth_ == 0) begin_ = scan_ + 1;
      continue;
    }
    switch (c) {
      case '"':
      case '\'':
        quote_ = c;
        break;
      case '{':
      case '[':
        if (c == '{' && depth_ > 0 && begins_another())
          return fail_and_resync(closers_.back() == '}' ? "JSON parse error, expected separator in dict"
                                                        : "JSON parse error, expected separator in list",
                                 text);
        if (depth_ >= kMaxNesting) return ++scan_, fail_and_resync("JSON nesting depth limit exceeded", text);
        ++depth_;
        closers_.push_back(c == '{' ? '}' : ']');
        break;
      case '}':
      case ']':
        if (depth_ == 0 || closers_.back() != c)
          return ++scan_, fail_and_resync("JSON parse error, stray or mismatched closing bracket", text);
        closers_.pop_back();
        if (--depth_ == 0) return finish(scan_ + 1, text);
        break;
      default:
        if (depth_ == 0) in_scalar_ = true;
        // 0xff never stands in JSON text: QMP clients send it to flush a broken parser state.
        if (c == '\xff' || static_cast<unsigned char>(c) < 0x20)
          return ++scan_, fail_and_resync("JSON parse error, invalid character", text);
        break;
    }
    last_ = c;
  }
  return Next::kNeedMore;
}

}  // namespace rhea
