// String building without a formatting library in headers.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace rhea {

/// One piece of a message: text, a number in decimal, or hex(n). Borrows text; lives for one call.
class StrPiece {
 public:
  StrPiece(std::string_view s) : view_(s) {}
  StrPiece(const std::string& s) : view_(s) {}
  StrPiece(const char* s) : view_(s != nullptr ? s : "(null)") {}
  StrPiece(char c) : view_(buf_, 1) { buf_[0] = c; }
  StrPiece(bool b) : view_(b ? "true" : "false") {}
  template <std::integral T>
  StrPiece(T v) {
    auto end = std::to_chars(buf_, buf_ + sizeof buf_, v).ptr;
    view_ = {buf_, static_cast<size_t>(end - buf_)};
  }
  StrPiece(const StrPiece&) = delete;
  StrPiece& operator=(const StrPiece&) = delete;
  std::string_view view() const { return view_; }

 private:
  friend class HexPiece;
  char buf_[24];
  std::string_view view_;
};

/// Lower-case hexadecimal digits of `v`, without prefix, at least `width` of them (0..16).
std::string hex(uint64_t v, int width = 0);

/// Appends each piece to `out`.
template <class... A>
void str_append(std::string& out, const A&... pieces) {
  (out.append(StrPiece(pieces).view()), ...);
}

/// The pieces, joined.
template <class... A>
std::string str_cat(const A&... pieces) {
  std::string out;
  str_append(out, pieces...);
  return out;
}

/// Parses all of `text` as a number: decimal, 0x hexadecimal or 0 octal. False if it is not one or does not
/// fit.
bool parse_u64(std::string_view text, uint64_t& out);
bool parse_i64(std::string_view text, int64_t& out);

/// Parses a size in bytes: a decimal number (a fraction allowed) with an optional suffix of B K M G T P E
/// (powers of 1024), or a 0x number. `default_suffix` multiplies where no suffix stands ('B' or 'M').
bool parse_size(std::string_view text, uint64_t& out, char default_suffix = 'B');

/// "1.5 GiB": three digits, as people read sizes.
std::string size_text(uint64_t bytes);

}  // namespace rhea
