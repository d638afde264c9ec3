// Expressions of the human monitor: "$eip + 4 * (2 + 1)", and the "/4xw" that says how to show a value.
#pragma once

#include <functional>
#include <string_view>

#include "util/result.h"

namespace rhea {

/// What separates words on a monitor's line.
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// The value of a register by its name without the dollar sign: "unknown register" if there is none.
using RegisterLookup = std::function<Result<uint64_t>(std::string_view name)>;

/// Reads one expression off `text` and the blanks after it; it ends where no operator follows. Arithmetic
/// wraps around at 64 bits. Loosest to tightest: + -; & | ^; * / %; unary + - ~. `lookup` may be empty.
Result<int64_t> hmp_expression(std::string_view& text, const RegisterLookup& lookup);

/// How x, xp, print, i and o show values. What was not said is zero.
struct HmpFormat {
  uint32_t count = 1;
  char format = 0;   ///< o, d, u, x, i (instructions) or c
  uint8_t size = 0;  ///< bytes of one value: 1, 2, 4 or 8
};

/// Reads "/4xw" off `text` and the blanks after it, if there is one: "invalid char in format: 'q'".
Result<HmpFormat> hmp_format(std::string_view& text);

}  // namespace rhea
