// Finding the values in a stream of JSON text, and what is wrong with a text that is no value.
#include <vector>

#include "util/json.h"
#include "util/str.h"
#include "util/utf8.h"

namespace rhea {

namespace {

/// The message for bytes that make no token; they are shown up to a zero byte, within reason.
std::string stray_text(std::string_view bytes) {
  return str_cat("JSON parse error, stray '", bytes.substr(0, std::min<size_t>(bytes.find('\0'), 1000)), "'");
}

struct LexedToken {
  JsonLexer::Token kind;
  std::string_view text;
  bool is(char c) const { return kind == JsonLexer::Token::kPunctuation && text[0] == c; }
};

/// Reads the tokens of a text the way a recursive parser would, and remembers the first thing wrong.
class Diagnosis {
 public:
  explicit Diagnosis(std::string_view text) : text_(text) {}
  std::string run() {
    if (!lex()) return std::move(error_);
    if (tokens_.empty()) return "Expecting a JSON value";
    if (value(0) && at_ < tokens_.size()) return "Expecting at most one JSON value";
    return std::move(error_);
  }

 private:
  bool wrong(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool parse_error(std::string_view why) { return wrong(str_cat("JSON parse error, ", why)); }
  bool premature() { return parse_error("premature EOI"); }
  const LexedToken* next() { return at_ < tokens_.size() ? &tokens_[at_++] : nullptr; }
  bool next_is(char c) const { return at_ < tokens_.size() && tokens_[at_].is(c); }

  bool lex();
  bool value(int depth);
  bool object(int depth);
  bool array(int depth);
  bool string(std::string_view quoted);
  bool unicode_escape(std::string_view quoted, size_t& at);

  std::string_view text_;
  std::vector<LexedToken> tokens_;
  size_t at_ = 0;
  std::string error_;
};

bool Diagnosis::lex() {
  JsonLexer lexer;
  size_t begin = 0, at = 0;
  auto add = [&](size_t end) {
    tokens_.push_back({lexer.token(), text_.substr(begin, end - begin)});
    begin = end;
  };
  while (at < text_.size()) {
    if (!lexer.in_token()) begin = at;
    const auto step = lexer.step(text_[at]);
    if (step == JsonLexer::Step::kError) return wrong(stray_text(text_.substr(begin, at + 1 - begin)));
    if (step == JsonLexer::Step::kTokenBefore) {
      add(at);
      continue;
    }
    ++at;
    if (step == JsonLexer::Step::kToken) add(at);
  }
  if (!lexer.in_token()) return true;
  if (!lexer.may_end()) return wrong(stray_text(text_.substr(begin)));
  lexer.step('\n');
  add(at);
  return true;
}

bool Diagnosis::value(int depth) {
  const LexedToken* token = next();
  if (token == nullptr) return premature();
  if (depth >= JsonSplitter::kMaxNesting) return wrong("JSON nesting depth limit exceeded");
  switch (token->kind) {
    case JsonLexer::Token::kString:
      return string(token->text);
    case JsonLexer::Token::kKeyword:
      if (token->text == "true" || token->text == "false" || token->text == "null") return true;
      return parse_error(str_cat("invalid keyword '", token->text.substr(0, 1000), "'"));
    case JsonLexer::Token::kPunctuation:
      if (token->is('{')) return object(depth);
      if (token->is('[')) return array(depth);
      return parse_error("expecting value");
    default:
      return true;
  }
}

bool Diagnosis::object(int depth) {
  if (next_is('}')) return ++at_, true;
  while (true) {
    const size_t key = at_;
    if (!value(depth + 1)) return false;
    if (tokens_[key].kind != JsonLexer::Token::kString) return parse_error("key is not a string in object");
    const LexedToken* colon = next();
    if (colon == nullptr) return premature();
    if (!colon->is(':')) return parse_error("missing : in object pair");
    if (!value(depth + 1)) return false;
    const LexedToken* separator = next();
    if (separator == nullptr) return premature();
    if (separator->is('}')) return true;
    if (!separator->is(',')) return parse_error("expected separator in dict");
  }
}

bool Diagnosis::array(int depth) {
  if (next_is(']')) return ++at_, true;
  while (true) {
    if (!value(depth + 1)) return false;
    const LexedToken* separator = next();
    if (separator == nullptr) return premature();
    if (separator->is(']')) return true;
    if (!separator->is(',')) return parse_error("expected separator in list");
  }
}

/// Four hexadecimal digits behind "\u" at `at`; -1 if they are not there.
int hex_unit(std::string_view s, size_t at) {
  int unit = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const char c = i < s.size() ? s[i] : 0;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

/// "\uXXXX" at `at`, or a pair of them that make one character; `at` moves behind it.
bool Diagnosis::unicode_escape(std::string_view quoted, size_t& at) {
  size_t length = 6;
  const int unit = hex_unit(quoted, at);
  char32_t code = static_cast<char32_t>(unit);
  bool good = unit >= 0;
  if (good && unit >= 0xd800 && unit < 0xdc00 && quoted.substr(at + 6).starts_with("\\u")) {
    const int low = hex_unit(quoted, at + 6);
    if (low >= 0xdc00 && low < 0xe000) {
      length = 12;
      code = 0x10000 + (static_cast<char32_t>(unit & 0x3ff) << 10) + static_cast<char32_t>(low & 0x3ff);
    }
  }
  if (good && length == 6 && unit >= 0xd800 && unit < 0xe000) good = false;
  if (!good || is_noncharacter(code))
    return parse_error(str_cat(quoted.substr(at, length), " is not a valid Unicode character"));
  at += length;
  return true;
}

bool Diagnosis::string(std::string_view quoted) {
  constexpr std::string_view kEscapes = "\"'\\/bfnrt";
  for (size_t i = 1; i + 1 < quoted.size();) {
    if (quoted[i] == '\\') {
      if (quoted[i + 1] == 'u') {
        if (!unicode_escape(quoted, i)) return false;
      } else if (kEscapes.find(quoted[i + 1]) != std::string_view::npos) {
        i += 2;
      } else {
        return parse_error("invalid escape sequence in string");
      }
      continue;
    }
    const Utf8Character c = utf8_decode(quoted.substr(i));
    if (c.length == 0 || is_noncharacter(c.code)) return parse_error("invalid UTF-8 sequence in string");
    i += c.length;
  }
  return true;
}

}  // namespace

std::string json_diagnose(std::string_view text) {
  return Diagnosis(text).run();
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
  token_begin_ -= std::min(token_begin_, begin_);
  begin_ = 0;
}

JsonSplitter::Next JsonSplitter::finish(std::string_view& text) {
  text = std::string_view(buf_).substr(begin_, scan_ - begin_);
  begin_ = scan_;
  tokens_ = braces_ = brackets_ = 0;
  last_ = 0;
  closers_.clear();
  return Next::kValue;
}

JsonSplitter::Next JsonSplitter::give_up(std::string why, std::string_view& text) {
  std::ignore = finish(text);
  error_ = std::move(why);
  text = error_;
  return Next::kError;
}

/// An object begins a line inside a value where none may stand: the value was cut off.
bool JsonSplitter::begins_another() const {
  if (scan_ == 0 || buf_[scan_ - 1] != '\n' || closers_.empty()) return false;
  if (closers_.back() == '}') return last_ != ':';
  return last_ != '[' && last_ != ',';
}

void JsonSplitter::count_bracket(char c) {
  if (c == '{' || c == '}') braces_ += c == '{' ? 1 : -1;
  if (c == '[' || c == ']') brackets_ += c == '[' ? 1 : -1;
  if (c == '{') closers_.push_back('}');
  if (c == '[') closers_.push_back(']');
  if (!closers_.empty() && c == closers_.back()) closers_.pop_back();
}

/// Counts the token that ends at scan_; true if the value ends with it.
bool JsonSplitter::token_complete() {
  ++tokens_;
  last_ = buf_[scan_ - 1];
  if (lexer_.token() == JsonLexer::Token::kPunctuation) count_bracket(last_);
  return braces_ < 0 || brackets_ < 0 || (braces_ == 0 && brackets_ == 0);
}

JsonSplitter::Next JsonSplitter::next(std::string_view& text) {
  compact();
  while (scan_ < buf_.size()) {
    const char c = buf_[scan_];
    if (!lexer_.in_token()) {
      token_begin_ = scan_;
      if (tokens_ == 0) begin_ = scan_;
      if (c == '{' && begins_another())
        return give_up(closers_.back() == '}' ? "JSON parse error, expected separator in dict"
                                              : "JSON parse error, expected separator in list",
                       text);
    }
    const JsonLexer::Step step = lexer_.step(c);
    if (step != JsonLexer::Step::kTokenBefore) ++scan_;
    if (step == JsonLexer::Step::kError)
      return give_up(stray_text(std::string_view(buf_).substr(token_begin_, scan_ - token_begin_)), text);
    if (scan_ - begin_ >= kMaxBytes) return give_up("JSON token size limit exceeded", text);
    if (step == JsonLexer::Step::kMore) continue;
    if (token_complete()) return finish(text);
    if (tokens_ > kMaxTokens) return give_up("JSON token count limit exceeded", text);
    if (braces_ + brackets_ > kMaxNesting) return give_up("JSON nesting depth limit exceeded", text);
  }
  if (tokens_ == 0 && !lexer_.in_token()) begin_ = scan_;
  return Next::kNeedMore;
}

}  // namespace rhea
