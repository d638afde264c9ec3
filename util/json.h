// JSON values, and the text form in the dialect QMP speaks (RFC 8259 plus single-quoted strings).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "util/json_lexer.h"
#include "util/result.h"

namespace rhea {

/// One JSON value. Numbers keep whether they were written as an integer (signed, or unsigned where it exceeds
/// int64) or with a fraction. Objects keep the order in which members were set. Copies are deep.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool b) : v_(b) {}
  template <std::signed_integral T>
  Json(T n) : v_(static_cast<int64_t>(n)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T n) {
    if (n <= static_cast<uint64_t>(INT64_MAX))
      v_ = static_cast<int64_t>(n);
    else
      v_ = static_cast<uint64_t>(n);
  }
  Json(double d) : v_(d) {}
  Json(std::string s) : v_(std::move(s)) {}
  Json(std::string_view s) : v_(std::string(s)) {}
  Json(const char* s) : v_(std::string(s)) {}
  Json(Array a) : v_(std::move(a)) {}

  static Json object(std::initializer_list<Member> members = {}) {
    Json j;
    j.v_ = Object(members);
    return j;
  }
  static Json array(std::initializer_list<Json> items = {}) { return Json(Array(items)); }

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_int() const { return std::holds_alternative<int64_t>(v_); }
  bool is_uint() const { return std::holds_alternative<uint64_t>(v_) || (is_int() && as_int() >= 0); }
  bool is_number() const {
    return is_int() || std::holds_alternative<uint64_t>(v_) || std::holds_alternative<double>(v_);
  }
  bool is_string() const { return std::holds_alternative<std::string>(v_); }
  bool is_array() const { return std::holds_alternative<Array>(v_); }
  bool is_object() const { return std::holds_alternative<Object>(v_); }

  // Each asks for what is_*() said is there.
  bool as_bool() const { return std::get<bool>(v_); }
  int64_t as_int() const { return std::get<int64_t>(v_); }
  uint64_t as_uint() const { return is_int() ? static_cast<uint64_t>(as_int()) : std::get<uint64_t>(v_); }
  double as_double() const;
  const std::string& as_string() const { return std::get<std::string>(v_); }
  std::string& as_string() { return std::get<std::string>(v_); }
  const Array& as_array() const { return std::get<Array>(v_); }
  Array& as_array() { return std::get<Array>(v_); }
  const Object& as_object() const { return std::get<Object>(v_); }
  Object& as_object() { return std::get<Object>(v_); }

  /// The member `key` of an object, null if this is no object or has none.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  /// Sets (adds or replaces) a member; a null value becomes an object first.
  Json& set(std::string_view key, Json value);
  /// Removes a member and returns it; null value if absent. `present`, if given, tells which.
  Json take(std::string_view key, bool* present = nullptr);
  /// Appends to an array; a null value becomes an array first.
  void push_back(Json value);

  /// "null", "boolean", "integer", "number", "string", "array" or "object".
  std::string_view type_name() const;
  friend bool operator==(const Json& a, const Json& b);

  /// Appends the text form: one line, `": "` and `", "` between parts as QMP servers write it.
  void write(std::string& out) const;
  /// The same over several lines, indented by four blanks a level.
  void write_pretty(std::string& out, int level = 0) const;
  std::string dump() const;

  /// Parses exactly one value with optional white space around it. Nesting is limited to 1024 levels. Errors
  /// are those of json_diagnose().
  static Result<Json> parse(std::string_view text);

 private:
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> v_;
};

/// Appends `s` as a JSON string with quotes and escapes, in ASCII only; bytes that are no UTF-8 become
/// U+FFFD.
void json_write_string(std::string& out, std::string_view s);

/// Why `text` is not one JSON value, in the words QMP clients know: "JSON parse error, expecting value",
/// "Expecting at most one JSON value" …. Empty if nothing is wrong with its syntax.
std::string json_diagnose(std::string_view text);

/// Cuts a byte stream into the texts of top-level JSON values. Feed bytes as they come; next() hands out
/// one text at a time. Its tokens make sense and its brackets are closed, no more; Json::parse() says the
/// rest. Bytes that are no token come out as an error ("JSON parse error, stray '%'"), after which what was
/// collected is forgotten. A value that was cut off does not swallow the next one, if that is an object that
/// begins a line.
class JsonSplitter {
 public:
  static constexpr size_t kMaxBytes = size_t{64} << 20;  ///< of one value's text
  static constexpr int kMaxTokens = 2 << 20;             ///< of one value
  static constexpr int kMaxNesting = 1024;

  void feed(std::string_view bytes) { buf_.append(bytes); }
  enum class Next { kNeedMore, kValue, kError };
  /// kValue: `text` holds one value's text (valid until the next call). kError: `text` holds the reason.
  Next next(std::string_view& text);
  /// Bytes fed and not yet handed out.
  size_t buffered_bytes() const { return buf_.size() - begin_; }
  /// True while part of a value has been fed.
  bool in_value() const { return tokens_ > 0 || lexer_.in_token(); }

 private:
  Next finish(std::string_view& text);
  Next give_up(std::string why, std::string_view& text);
  bool token_complete();
  void count_bracket(char c);
  void compact();
  bool begins_another() const;

  JsonLexer lexer_;
  std::string buf_;
  size_t begin_ = 0;               ///< where the value being collected starts
  size_t scan_ = 0;                ///< what was looked at already
  size_t token_begin_ = 0;         ///< where the token being read starts
  int tokens_ = 0;                 ///< of the value being collected
  int braces_ = 0, brackets_ = 0;  ///< open ones less closed ones, whatever their order
  char last_ = 0;                  ///< the last character of the value that is no white space
  std::string closers_;            ///< the closing brackets awaited
  std::string error_;
};

}  // namespace rhea
