// The option syntax of the command line: "key=value,key2.sub=v,list.0=w", and its nested and flat forms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// What parsing an option's text gives.
struct Keyval {
  Json values;        ///< an object whose leaves are strings
  bool help = false;  ///< "help" or "?" stood among the parameters
  /// Things to tell the user, each with a line of advice ("…deprecated", "Please use x=on instead").
  std::vector<std::pair<std::string, std::string>> warnings;
};

/// Parses the strict syntax (-blockdev, -machine): parameters separated by commas; ",," in a value is a
/// comma; dots in a key make nested objects, and where all keys of an object are numbers, an array. A later
/// value of the same key replaces the earlier one. If `implied_key` is not empty, the first parameter may
/// lack "key=". Errors name the parameter: "Invalid parameter 'a..b'", "Expected '=' after parameter 'x'",
/// "Parameters 'x.*' used inconsistently", "Parameter 'x.1' missing".
Result<Keyval> keyval_parse(std::string_view text, std::string_view implied_key = {});

/// Parses the lax syntax (-drive, -device, -object, -chardev …): as above, but a bare word "x" means x=on and
/// "nox" means x=off, with a warning. Keys stay as they are written, dots included (json_unflatten() makes
/// nested objects); any key but an empty one will do. A later value of the same key replaces the earlier one.
Result<Keyval> keyval_parse_flat(std::string_view text, std::string_view implied_key = {});

/// The same values with nested objects and arrays replaced by members with dotted keys: {"a": {"b": [1]}}
/// gives
/// {"a.b.0": 1}. Empty objects and arrays stay. `object` is an object.
Json json_flatten(const Json& object);

/// The reverse: dotted keys become nested objects, and objects whose keys are all numbers arrays (not the
/// outermost one). Fails as keyval_parse() does where a key is used both ways, or with an array that has a
/// hole.
Result<Json> json_unflatten(const Json& flat);

/// Whether `id` can name an object: a letter, then letters, digits, '-', '.', '_'.
bool id_wellformed(std::string_view id);

}  // namespace rhea
