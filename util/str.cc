#include "util/str.h"

#include <cstdio>
#include <iterator>

#include <cmath>

namespace rhea {

std::string hex(uint64_t v, int width) {
  char buf[16];
  auto end = std::to_chars(buf, buf + sizeof buf, v, 16).ptr;
  std::string out(buf, end);
  if (out.size() < static_cast<size_t>(width)) out.insert(0, static_cast<size_t>(width) - out.size(), '0');
  return out;
}

bool parse_u64(std::string_view text, uint64_t& out) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  uint64_t v = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v, base);
  if (ec != std::errc() || end != text.data() + text.size()) return false;
  out = v;
  return true;
}

bool parse_i64(std::string_view text, int64_t& out) {
  bool negative = !text.empty() && text[0] == '-';
  uint64_t v = 0;
  if (!parse_u64(text.substr(negative ? 1 : 0), v)) return false;
  const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (v > limit) return false;
  out = negative ? static_cast<int64_t>(0 - v) : static_cast<int64_t>(v);
  return true;
}

namespace {
int suffix_shift(char c) {
  switch (c) {
    case 'B':
    case 'b':
      return 0;
    case 'K':
    case 'k':
      return 10;
    case 'M':
    case 'm':
      return 20;
    case 'G':
    case 'g':
      return 30;
    case 'T':
    case 't':
      return 40;
    case 'P':
    case 'p':
      return 50;
    case 'E':
    case 'e':
      return 60;
    default:
      return -1;
  }
}
}  // namespace

bool parse_size(std::string_view text, uint64_t& out, char default_suffix) {
  if (text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x') return parse_u64(text, out);
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  uint64_t whole = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + digits, whole);
  if (digits == 0 || ec != std::errc() || end != text.data() + digits) return false;
  text.remove_prefix(digits);
  double fraction = 0;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    double scale = 0.1;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), scale /= 10)
      fraction += scale * (text[0] - '0');
  }
  if (text.size() > 1) return false;
  const int shift = suffix_shift(text.empty() ? default_suffix : text[0]);
  if (shift < 0 || (fraction != 0 && shift == 0) || (shift != 0 && whole >> (64 - shift) != 0)) return false;
  out = (whole << shift) + static_cast<uint64_t>(std::llround(std::ldexp(fraction, shift)));
  return out >= whole;
}

std::string size_text(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %sB", value, kUnits[unit]);
  return text;
}

}  // namespace rhea
