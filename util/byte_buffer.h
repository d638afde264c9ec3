// A growing byte string with the integer encodings that firmware tables need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace rhea {

using Bytes = std::vector<uint8_t>;

// Appends little-endian integers and fixed-width text to an owned byte vector. Not thread safe.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  explicit ByteBuffer(Bytes initial) : bytes_(std::move(initial)) {}

  ByteBuffer& u8(uint8_t v) {
    bytes_.push_back(v);
    return *this;
  }
  ByteBuffer& u16(uint16_t v) { return le(v, 2); }
  ByteBuffer& u32(uint32_t v) { return le(v, 4); }
  ByteBuffer& u64(uint64_t v) { return le(v, 8); }
  // Appends the low `width` bytes of v, least significant first; width is 1 to 8.
  ByteBuffer& le(uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; i++) bytes_.push_back(static_cast<uint8_t>(v >> (8 * i)));
    return *this;
  }
  // Appends the low `width` bytes of v, most significant first; width is 1 to 8.
  ByteBuffer& be(uint64_t v, unsigned width) {
    for (unsigned i = width; i-- > 0;) bytes_.push_back(static_cast<uint8_t>(v >> (8 * i)));
    return *this;
  }
  ByteBuffer& raw(std::span<const uint8_t> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  // Appends text without a terminator.
  ByteBuffer& text(std::string_view s) {
    bytes_.insert(bytes_.end(), s.begin(), s.end());
    return *this;
  }
  // Appends exactly `width` bytes: s, cut or filled up with `pad`.
  ByteBuffer& fixed(std::string_view s, size_t width, char pad = '\0') {
    for (size_t i = 0; i < width; i++) bytes_.push_back(static_cast<uint8_t>(i < s.size() ? s[i] : pad));
    return *this;
  }
  ByteBuffer& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  // Fills up with zeros to the next multiple of `unit` bytes (unit > 0).
  ByteBuffer& align(size_t unit) { return zeros((unit - bytes_.size() % unit) % unit); }
  // Overwrites `width` bytes at `offset`, which must already exist.
  void patch_le(size_t offset, uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; i++) bytes_.at(offset + i) = static_cast<uint8_t>(v >> (8 * i));
  }

  size_t size() const { return bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

}  // namespace rhea
