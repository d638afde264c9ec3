// Base64 (RFC 4648, section 4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rhea {

/// With padding, on one line.
std::string base64_encode(const std::vector<uint8_t>& bytes);
/// Up to the first character that is no digit of it; padding may lack.
std::vector<uint8_t> base64_decode(std::string_view text);

}  // namespace rhea
