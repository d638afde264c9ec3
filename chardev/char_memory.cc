// Backends without a host side: null and ringbuf.
#include <algorithm>
#include <bit>

#include "chardev/backends.h"
#include "chardev/ringbuf.h"

namespace rhea {

namespace {

constexpr uint64_t kDefaultRingBytes = 64 << 10;
constexpr uint64_t kMaxRingBytes = uint64_t{1} << 30;

class NullChardev final : public Chardev {
 public:
  explicit NullChardev(std::string label) : Chardev(std::move(label)) { set_open(true); }
  std::string_view backend() const override { return "null"; }

 private:
  size_t push(std::span<const uint8_t> data) override { return data.size(); }
};

}  // namespace

size_t RingbufChardev::push(std::span<const uint8_t> data) {
  if (ring_.empty()) ring_.resize(size_);
  const size_t total = data.size();
  if (total > size_) {
    produced_ += total - size_;
    data = data.last(size_);
  }
  for (uint8_t byte : data) ring_[produced_++ & (size_ - 1)] = static_cast<char>(byte);
  if (produced_ - consumed_ > size_) consumed_ = produced_ - size_;
  return total;
}

std::string RingbufChardev::read(size_t max_bytes) {
  std::string out;
  const size_t n = std::min(max_bytes, stored_bytes());
  out.reserve(n);
  while (out.size() < n) out += ring_[consumed_++ & (size_ - 1)];
  return out;
}

ChardevResult create_null(ChardevRequest& request) {
  return std::make_unique<NullChardev>(request.label);
}

ChardevResult create_ringbuf(ChardevRequest& request) {
  const uint64_t bytes = TRY(request.options.take_size("size", kDefaultRingBytes));
  if (!std::has_single_bit(bytes)) return fail(EINVAL, "size of ringbuf chardev must be power of two");
  if (bytes > kMaxRingBytes) return fail(EINVAL, "size of ringbuf chardev must be at most 1 GiB");
  return std::make_unique<RingbufChardev>(request.label, bytes);
}

}  // namespace rhea
