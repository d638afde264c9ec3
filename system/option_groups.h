// Which parameters the command line's options take: what they are checked against, and what
// query-command-line-options tells of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace rhea {

enum class ParameterKind : uint8_t { kString, kBoolean, kNumber, kSize };

struct OptionParameter {
  std::string_view name;
  ParameterKind kind;
  std::string_view default_value = {};
};

/// The parameters of an option. Some groups are named otherwise than their option ("smp-opts").
struct OptionGroup {
  std::string_view name;
  std::string_view option;  ///< without "-"
  std::span<const OptionParameter>
      parameters;  ///< empty: other introspection tells of them, as device-list-properties

  const OptionParameter* find(std::string_view parameter) const;
};

/// All groups, sorted by name.
std::span<const OptionGroup> option_groups();
/// Null if there is none.
const OptionGroup* find_option_group(std::string_view name);

}  // namespace rhea
