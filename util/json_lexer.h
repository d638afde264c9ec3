// JsonLexer: cuts bytes into the tokens of JSON (RFC 8259, and strings in single quotes).
#pragma once

#include <cstdint>

namespace rhea {

/// Takes one byte at a time. After bytes that begin no token it skips to where a new message may begin.
class JsonLexer {
 public:
  enum class Token : uint8_t { kString, kNumber, kKeyword, kPunctuation };
  enum class Step : uint8_t {
    kMore,         ///< the byte was taken
    kToken,        ///< the byte was taken and ends a token
    kTokenBefore,  ///< a token ended before this byte, which must be given again
    kError,        ///< the byte was taken; it and the bytes of the token before it make no sense
  };

  Step step(char c);
  /// Which token kToken or kTokenBefore tell of.
  Token token() const { return token_; }
  /// True while part of a token has been taken.
  bool in_token() const { return state_ != State::kStart && state_ != State::kRecovery; }
  /// True if the end of the text would end a token here (numbers and keywords).
  bool may_end() const;

 private:
  enum class State : uint8_t {
    kStart,
    kString,
    kEscape,
    kKeyword,
    kMinus,
    kZero,
    kDigits,
    kPoint,
    kFraction,
    kExponent,
    kExponentSign,
    kExponentDigits,
    kRecovery
  };
  Step start(char c);
  Step in_string(char c);
  Step in_number(char c);
  Step go(State next) {
    state_ = next;
    return Step::kMore;
  }
  Step end(Step how, Token token) {
    state_ = State::kStart;
    token_ = token;
    return how;
  }
  Step error() {
    state_ = State::kRecovery;
    return Step::kError;
  }

  State state_ = State::kStart;
  Token token_ = Token::kPunctuation;
  char quote_ = 0;
};

}  // namespace rhea
