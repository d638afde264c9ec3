#include "monitor/hmp_expr.h"

#include <charconv>

namespace rhea {

namespace {

constexpr int kMaxDepth = 64;  // parentheses and signs within each other

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == ':';
}

class Parser {
 public:
  Parser(std::string_view& text, const RegisterLookup& lookup) : text_(text), lookup_(lookup) {}

  Result<int64_t> sum() {
    uint64_t value = TRY(logic());
    while (const char op = operator_of("+-")) {
      const uint64_t right = TRY(logic());
      value = op == '+' ? value + right : value - right;
    }
    return static_cast<int64_t>(value);
  }

 private:
  Result<uint64_t> logic() {
    uint64_t value = TRY(product());
    while (const char op = operator_of("&|^")) {
      const uint64_t right = TRY(product());
      value = op == '&' ? value & right : op == '|' ? value | right : value ^ right;
    }
    return value;
  }

  Result<uint64_t> product() {
    uint64_t value = TRY(unary());
    while (const char op = operator_of("*/%")) {
      const uint64_t right = TRY(unary());
      if (op == '*') {
        value *= right;
        continue;
      }
      if (right == 0) return fail(EINVAL, "division by zero");
      value = divide(static_cast<int64_t>(value), static_cast<int64_t>(right), op);
    }
    return value;
  }

  static uint64_t divide(int64_t a, int64_t b, char op) {
    if (b == -1)
      return op == '/' ? uint64_t{0} - static_cast<uint64_t>(a) : 0;  // the smallest has no opposite
    return static_cast<uint64_t>(op == '/' ? a / b : a % b);
  }

  Result<uint64_t> unary() {
    if (++depth_ > kMaxDepth) return fail(EINVAL, "expression nested too deep");
    Result<uint64_t> value = primary();
    --depth_;
    return value;
  }

  Result<uint64_t> primary() {
    skip_blanks();
    if (text_.empty()) return fail(EINVAL, "unexpected end of expression");
    switch (text_[0]) {
      case '+':
        text_.remove_prefix(1);
        return unary();
      case '-':
        text_.remove_prefix(1);
        return uint64_t{0} - TRY(unary());
      case '~':
        text_.remove_prefix(1);
        return ~TRY(unary());
      case '(':
        return parenthesis();
      case '\'':
        return character();
      case '$':
        return named();
      default:
        return number();
    }
  }

  Result<uint64_t> parenthesis() {
    text_.remove_prefix(1);
    const auto value = static_cast<uint64_t>(TRY(sum()));
    if (!text_.starts_with(')')) return fail(EINVAL, "')' expected");
    text_.remove_prefix(1);
    skip_blanks();
    return value;
  }

  Result<uint64_t> character() {
    if (text_.size() < 2) return fail(EINVAL, "character constant expected");
    const auto value = static_cast<uint8_t>(text_[1]);
    if (text_.size() < 3 || text_[2] != '\'') return fail(EINVAL, "missing terminating ' character");
    text_.remove_prefix(3);
    skip_blanks();
    return uint64_t{value};
  }

  Result<uint64_t> named() {
    text_.remove_prefix(1);
    size_t end = 0;
    while (end < text_.size() && is_name_char(text_[end])) ++end;
    const std::string_view name = text_.substr(0, end);
    text_.remove_prefix(end);
    skip_blanks();
    if (!lookup_) return fail(EINVAL, "unknown register");
    return lookup_(name);
  }

  Result<uint64_t> number() {
    int base = 10;
    std::string_view digits = text_;
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits[0] == '0') {
      base = 8;
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error == std::errc::result_out_of_range) return fail(ERANGE, "number too large");
    if (error != std::errc()) {
      if (base != 16) return fail(EINVAL, "invalid char '", text_[0], "' in expression");
      text_.remove_prefix(1);  // "0x" without a digit: the zero counts
      return uint64_t{0};
    }
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    skip_blanks();
    return value;
  }

  /// The operator that stands next, taken off, if it is one of `which`; 0 if not.
  char operator_of(std::string_view which) {
    skip_blanks();
    if (text_.empty() || which.find(text_[0]) == std::string_view::npos) return 0;
    const char op = text_[0];
    text_.remove_prefix(1);
    return op;
  }

  void skip_blanks() {
    while (!text_.empty() && is_blank(text_[0])) text_.remove_prefix(1);
  }

  std::string_view& text_;
  const RegisterLookup& lookup_;
  int depth_ = 0;
};

bool take_format_char(char c, HmpFormat& out) {
  switch (c) {
    case 'o':
    case 'd':
    case 'u':
    case 'x':
    case 'i':
    case 'c':
      out.format = c;
      return true;
    case 'b':
      out.size = 1;
      return true;
    case 'h':
      out.size = 2;
      return true;
    case 'w':
      out.size = 4;
      return true;
    case 'g':
    case 'L':
      out.size = 8;
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<int64_t> hmp_expression(std::string_view& text, const RegisterLookup& lookup) {
  return Parser(text, lookup).sum();
}

Result<HmpFormat> hmp_format(std::string_view& text) {
  HmpFormat out;
  while (!text.empty() && is_blank(text[0])) text.remove_prefix(1);
  if (!text.starts_with('/')) return out;
  text.remove_prefix(1);
  if (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.count);
    if (error != std::errc()) return fail(ERANGE, "count too large in format");
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  while (!text.empty() && take_format_char(text[0], out)) text.remove_prefix(1);
  if (!text.empty() && !is_blank(text[0])) return fail(EINVAL, "invalid char in format: '", text[0], "'");
  while (!text.empty() && is_blank(text[0])) text.remove_prefix(1);
  return out;
}

}  // namespace rhea
