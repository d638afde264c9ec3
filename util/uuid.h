// UUIDs and their text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rhea {

using Uuid = std::array<uint8_t, 16>;  ///< in the order of the text (RFC 4122, section 3)

/// "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87".
std::string uuid_to_text(const Uuid& uuid);
/// Empty if `text` is not such a text; letters may be of either case.
std::optional<Uuid> uuid_from_text(std::string_view text);

}  // namespace rhea
