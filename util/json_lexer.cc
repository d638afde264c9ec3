#include "util/json_lexer.h"

namespace rhea {

namespace {

bool json_lexer_is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_punctuation(char c) {
  return c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':';
}
/// Never part of any token, not even of a string; 0xff is what QMP clients send to get out of one.
bool is_forbidden(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x20 || u >= 0xfe;
}

}  // namespace

bool JsonLexer::may_end() const {
  switch (state_) {
    case State::kKeyword:
    case State::kZero:
    case State::kDigits:
    case State::kFraction:
    case State::kExponentDigits:
      return true;
    default:
      return false;
  }
}

JsonLexer::Step JsonLexer::start(char c) {
  if (c == ' ' || c == '\t' || c == '\r' || c == '\n') return Step::kMore;
  if (is_punctuation(c)) return end(Step::kToken, Token::kPunctuation);
  if (c == '"' || c == '\'') {
    quote_ = c;
    return go(State::kString);
  }
  if (is_lower(c)) return go(State::kKeyword);
  if (c == '-') return go(State::kMinus);
  if (c == '0') return go(State::kZero);
  if (json_lexer_is_digit(c)) return go(State::kDigits);
  return error();
}

JsonLexer::Step JsonLexer::in_string(char c) {
  if (is_forbidden(c)) return error();
  if (state_ == State::kEscape) return go(State::kString);
  if (c == quote_) return end(Step::kToken, Token::kString);
  return c == '\\' ? go(State::kEscape) : Step::kMore;
}

JsonLexer::Step JsonLexer::in_number(char c) {
  const bool digit = json_lexer_is_digit(c), exponent = c == 'e' || c == 'E';
  switch (state_) {
    case State::kMinus:
      return c == '0' ? go(State::kZero) : digit ? go(State::kDigits) : error();
    case State::kPoint:
      return digit ? go(State::kFraction) : error();
    case State::kExponent:
      if (c == '+' || c == '-') return go(State::kExponentSign);
      [[fallthrough]];
    case State::kExponentSign:
      return digit ? go(State::kExponentDigits) : error();
    case State::kZero:
      if (digit) return error();
      [[fallthrough]];
    case State::kDigits:
      if (c == '.') return go(State::kPoint);
      [[fallthrough]];
    case State::kFraction:
      if (exponent) return go(State::kExponent);
      [[fallthrough]];
    default:
      return digit ? Step::kMore : end(Step::kTokenBefore, Token::kNumber);
  }
}

JsonLexer::Step JsonLexer::step(char c) {
  switch (state_) {
    case State::kRecovery:
      if (!is_punctuation(c) && (c == '\t' || !is_forbidden(c))) return Step::kMore;
      state_ = State::kStart;
      [[fallthrough]];
    case State::kStart:
      return start(c);
    case State::kString:
    case State::kEscape:
      return in_string(c);
    case State::kKeyword:
      return is_lower(c) ? Step::kMore : end(Step::kTokenBefore, Token::kKeyword);
    default:
      return in_number(c);
  }
}

}  // namespace rhea
