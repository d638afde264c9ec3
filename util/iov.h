// IoVector: a borrowed view of scattered memory.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace rhea {

/// Bytes [0, size()) spread over pieces. Copying and slicing copy the view, never the bytes; the pieces'
/// array is borrowed (a single piece is kept inside).
class IoVector {
 public:
  IoVector() = default;
  IoVector(void* data, size_t bytes) : one_{data, bytes}, size_(bytes) {}
  IoVector(std::span<const iovec> pieces) : pieces_(pieces.data()), count_(pieces.size()) {
    for (const auto& p : pieces) size_ += p.iov_len;
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// The view of [offset, offset + bytes), which must lie inside.
  IoVector slice(size_t offset, size_t bytes) const {
    IoVector out = *this;
    out.skip_ += offset;
    while (out.pieces_ != nullptr && out.count_ > 1 && out.skip_ >= out.pieces_->iov_len) {
      out.skip_ -= out.pieces_->iov_len;
      ++out.pieces_;
      --out.count_;
    }
    out.size_ = bytes;
    return out;
  }
  IoVector slice(size_t offset) const { return slice(offset, size_ - offset); }

  /// Calls fn(void* data, size_t bytes) for each piece in order.
  template <class F>
  void for_each(F&& fn) const {
    size_t left = size_, skip = skip_;
    for (const iovec* p = begin(); left > 0; ++p) {
      const size_t n = std::min(p->iov_len - skip, left);
      if (n > 0) fn(static_cast<char*>(p->iov_base) + skip, n);
      left -= n;
      skip = 0;
    }
  }
  /// Writes up to `max` iovecs that cover the view from its start; returns how many. `covered` gets their
  /// bytes.
  size_t fill(iovec* out, size_t max, size_t* covered) const {
    size_t n = 0, bytes = 0;
    for_each([&](void* data, size_t len) {
      if (n == max) return;
      out[n++] = {data, len};
      bytes += len;
    });
    *covered = bytes;
    return n;
  }
  size_t piece_count() const {
    size_t n = 0;
    for_each([&](void*, size_t) { ++n; });
    return n;
  }
  void copy_from(const void* src) const {
    for_each([&](void* data, size_t n) {
      std::memcpy(data, src, n);
      src = static_cast<const char*>(src) + n;
    });
  }
  void copy_to(void* dst) const {
    for_each([&](void* data, size_t n) {
      std::memcpy(dst, data, n);
      dst = static_cast<char*>(dst) + n;
    });
  }
  void zero() const {
    for_each([](void* data, size_t n) { std::memset(data, 0, n); });
  }
  /// True if every piece starts at a multiple of `align` and is a multiple of it long.
  bool is_aligned(size_t align) const {
    bool ok = true;
    for_each(
        [&](void* data, size_t n) { ok &= ((reinterpret_cast<uintptr_t>(data) | n) & (align - 1)) == 0; });
    return ok;
  }

 private:
  const iovec* begin() const { return pieces_ != nullptr ? pieces_ : &one_; }
  const iovec* pieces_ = nullptr;
  size_t count_ = 1;
  iovec one_{};
  size_t skip_ = 0;
  size_t size_ = 0;
};

}  // namespace rhea
