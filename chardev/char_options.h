// The options of one character device, from the forms the command line knows.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "util/result.h"

namespace rhea {

/// `-chardev BACKEND,id=ID,KEY=VALUE,…` taken apart: an ordered list, each option to be taken exactly once.
/// `check_all_taken()` names what no one took.
class CharOptions {
 public:
  CharOptions() = default;
  /// Parses "BACKEND,KEY=VALUE,…". In a value ",," stands for a comma; KEY alone means KEY=on, noKEY means
  /// KEY=off.
  static Result<CharOptions> parse(std::string_view text);
  /// Parses the short forms of -serial, -monitor and -qmp: "stdio", "unix:PATH,server=on", "file:PATH" ….
  /// A "mon:" prefix sets mux=on.
  static Result<CharOptions> parse_legacy(std::string_view text);

  const std::string& backend() const { return backend_; }
  void set_backend(std::string backend) { backend_ = std::move(backend); }
  /// Replaces an option of that name or adds it.
  void set(std::string_view key, std::string_view value);
  bool has(std::string_view key) const;
  /// The value of `key`, or `fallback`. Marks it as taken.
  std::string take(std::string_view key, std::string_view fallback = {});
  /// "Parameter 'KEY' expects 'on' or 'off'".
  Result<bool> take_bool(std::string_view key, bool fallback);
  /// "Parameter 'KEY' expects a number".
  Result<uint64_t> take_number(std::string_view key, uint64_t fallback);
  Result<uint64_t> take_size(std::string_view key, uint64_t fallback);
  /// "Invalid parameter 'KEY'".
  Result<> check_all_taken() const;

 private:
  struct Option {
    std::string key, value;
    bool taken = false;
  };
  Option* find(std::string_view key);
  Result<> parse_list(std::string_view text);
  std::string backend_;
  std::vector<Option> options_;
};

/// True if `id` may name an object: a letter, then letters, digits, '-', '.', '_'.
bool is_wellformed_id(std::string_view id);

}  // namespace rhea
