// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace rhea {

struct Utf8Character {
  char32_t code;
  size_t length;  ///< in bytes; 0: malformed, overlong, a surrogate or past U+10FFFF
};

/// The character at the start of `s`, which is not empty.
inline Utf8Character utf8_decode(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xc2 && lead < 0xe0   ? 2
                   : lead >= 0xe0 && lead < 0xf0 ? 3
                   : lead >= 0xf0 && lead < 0xf5 ? 4
                                                 : 0;
  if (n == 0 || s.size() < n) return {0, 0};
  char32_t code = lead & (0x7fu >> n);
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = code < (n == 2 ? 0x80u : n == 3 ? 0x800u : 0x10000u);
  if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return {0, 0};
  return {code, n};
}

/// Unicode, section 23.7: the last two of each plane, and U+FDD0 to U+FDEF.
inline bool is_noncharacter(char32_t code) {
  return (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
}

}  // namespace rhea
