// OptionTree: the options of a node and its children as dotted keys, each knowing where it came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/json.h"

namespace rhea {

/// Where an option's value came from.
enum class OptionOrigin : uint8_t { kExplicit, kJsonFilename, kFilename, kInherited, kDefault, kImage };
/// "explicit", "json", "filename", "inherited", "default" or "image".
std::string_view option_origin_name(OptionOrigin o);

/// Options in the order they were given. A value is a scalar: typed (blockdev-add) or a string (-drive); the
/// getters read both alike. An option that was read counts as consumed; leftover() names those that were not.
class OptionTree {
 public:
  struct Entry {
    std::string key;  ///< dotted: "file.cache.direct"
    Json value;       ///< null, bool, number or string
    OptionOrigin origin = OptionOrigin::kExplicit;
    bool consumed = false;
  };

  OptionTree() = default;
  /// Flattens an object: members of members become dotted keys, array items are numbered from 0.
  static OptionTree from_json(const Json& object, OptionOrigin origin = OptionOrigin::kExplicit);
  /// The nested form; what was dotted becomes objects (not arrays).
  Json to_json() const;

  bool empty() const { return entries_.empty(); }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// True if a key starts with `prefix` and a dot.
  bool has_below(std::string_view prefix) const;
  const Json* get(std::string_view key) const;
  std::optional<OptionOrigin> origin(std::string_view key) const;
  void set(std::string_view key, Json value, OptionOrigin origin = OptionOrigin::kExplicit);
  /// Sets only what is not there yet.
  void set_default(std::string_view key, Json value, OptionOrigin origin);
  void erase(std::string_view key);
  /// Adds from `other` what is not there yet.
  void merge_below(const OptionTree& other);
  /// Removes and returns what stands below `prefix` ("file": "file.x" becomes "x").
  OptionTree extract(std::string_view prefix);

  // Each marks its key as consumed. Absent: nullopt. Errors name the key.
  Result<std::optional<std::string>> take_string(std::string_view key);
  Result<std::optional<bool>> take_bool(std::string_view key);
  /// A size in bytes; as a string it may carry a suffix.
  Result<std::optional<uint64_t>> take_size(std::string_view key);
  Result<std::optional<uint64_t>> take_number(std::string_view key);
  /// One of `choices` by its position; `fail_text` is the message for anything else.
  Result<std::optional<size_t>> take_choice(std::string_view key,
                                            std::initializer_list<std::string_view> choices,
                                            std::string_view fail_text = {});

  /// Keys nobody consumed, in order.
  std::vector<std::string> leftover() const;
  const std::vector<Entry>& entries() const { return entries_; }
  friend bool operator==(const OptionTree& a, const OptionTree& b);

 private:
  Entry* find(std::string_view key);
  const Entry* find(std::string_view key) const;
  Entry* consume(std::string_view key);
  std::vector<Entry> entries_;
};

}  // namespace rhea
