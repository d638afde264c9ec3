// Option arguments of the command line that may be written as JSON or in key=value syntax.
#pragma once

#include <string_view>

#include "qapi/visit.h"
#include "util/keyval.h"

namespace rhea {

/// An argument such as -device's: nested values, and the form their scalars are in.
struct OptionArgument {
  Json values;  ///< an object
  ValueForm form = ValueForm::kTyped;
  bool help = false;                                          ///< "help" or "?" was asked for
  std::vector<std::pair<std::string, std::string>> warnings;  ///< see Keyval
};

/// How bare words are taken in the key=value syntax (util/keyval.h).
enum class OptionSyntax : uint8_t { kStrict, kLax };

/// Parses `text`: JSON if it starts with '{', else key=value syntax with dotted keys nested. `implied_key`
/// names the first parameter if it has no key. from_json<T>(values, form) gives the typed value.
Result<OptionArgument> parse_option(std::string_view text, std::string_view implied_key, OptionSyntax syntax);

}  // namespace rhea
