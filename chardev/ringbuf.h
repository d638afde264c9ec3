// RingbufChardev: keeps the last output in memory.
#pragma once

#include <string>

#include "chardev/chardev.h"

namespace rhea {

/// Output goes round in `bytes` (a power of two); when full the oldest is overwritten. Nobody is ever at the
/// other side: what is read() out comes from here.
class RingbufChardev final : public Chardev {
 public:
  RingbufChardev(std::string label, size_t bytes) : Chardev(std::move(label)), size_(bytes) {
    set_open(true);
  }
  std::string_view backend() const override { return "ringbuf"; }
  /// Takes the oldest bytes out, at most `max_bytes`.
  std::string read(size_t max_bytes);
  /// Adds bytes as the front end would.
  void store(std::span<const uint8_t> data) { push(data); }
  size_t stored_bytes() const { return produced_ - consumed_; }

 private:
  size_t push(std::span<const uint8_t> data) override;
  const size_t size_;
  std::string ring_;  ///< grows to size_ when first used
  uint64_t produced_ = 0;
  uint64_t consumed_ = 0;
};

}  // namespace rhea
