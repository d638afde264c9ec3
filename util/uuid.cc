#include "util/uuid.h"

#include "util/str.h"

namespace rhea {

namespace {

constexpr bool dash_at(size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

int hex_digit(char ch) {
  if (ch >= '0' && ch <= '9') return ch - '0';
  if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
  if (ch >= 'A' && ch <= 'F') return ch - 'A' + 10;
  return -1;
}

}  // namespace

std::string uuid_to_text(const Uuid& uuid) {
  std::string out;
  for (const uint8_t byte : uuid) {
    if (dash_at(out.size())) out += '-';
    out += hex(byte, 2);
  }
  return out;
}

std::optional<Uuid> uuid_from_text(std::string_view text) {
  constexpr size_t kTextBytes = 36;
  if (text.size() != kTextBytes) return std::nullopt;
  Uuid uuid{};
  size_t byte = 0;
  for (size_t i = 0; i < kTextBytes;) {
    if (dash_at(i)) {
      if (text[i++] != '-') return std::nullopt;
      continue;
    }
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    uuid[byte++] = static_cast<uint8_t>(high << 4 | low);
    i += 2;
  }
  return uuid;
}

}  // namespace rhea
