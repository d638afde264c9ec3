#include "block/drivers/qcow2/image_bitmap.h"

#include <algorithm>
#include <cstring>

namespace rhea::qcow2 {

/// Zeroed; large ones cost memory only where bits are set.
Result<ImageBitmap::Memory> ImageBitmap::allocate(uint64_t bytes, uint64_t granularity) {
  const uint64_t stored = (bytes / granularity + 1 + 7) / 8;
  if (stored > kMaxStoredBytes + 1) return fail(EFBIG, "Bitmap is too big");
  Memory memory(static_cast<uint8_t*>(std::calloc(stored, 1)));
  if (!memory) return fail(ENOMEM, "Cannot allocate a bitmap of ", stored, " bytes");
  return memory;
}

Result<std::unique_ptr<ImageBitmap>> ImageBitmap::create(std::string name, uint64_t bytes,
                                                         uint64_t granularity) {
  Memory memory = TRY(allocate(bytes, granularity));
  return std::unique_ptr<ImageBitmap>(
      new ImageBitmap(std::move(name), bytes, granularity, std::move(memory)));
}

void ImageBitmap::set(ByteRange range) {
  if (range.bytes == 0 || range.offset >= bytes_) return;
  modified_ = true;
  const uint64_t last = (std::min(range.end(), bytes_) - 1) / granularity_;
  for (uint64_t bit = range.offset / granularity_; bit <= last;) {
    if (bit % 8 == 0 && last - bit >= 7) {
      const uint64_t whole = (last - bit + 1) / 8;
      std::memset(memory_.get() + bit / 8, 0xff, whole);
      bit += whole * 8;
    } else {
      memory_.get()[bit / 8] |= static_cast<uint8_t>(1u << (bit % 8));
      ++bit;
    }
  }
}

void ImageBitmap::mark(ByteRange range) {
  if (!enabled_ || inconsistent_) return;
  const std::lock_guard guard(mutex_);
  set(range);
}

void ImageBitmap::clear_all() {
  const std::lock_guard guard(mutex_);
  std::memset(memory_.get(), 0, stored_bytes());
  modified_ = true;
}

bool ImageBitmap::is_set(uint64_t offset) const {
  const std::lock_guard guard(mutex_);
  const uint64_t bit = offset / granularity_;
  return bit < bits() && (memory_.get()[bit / 8] >> (bit % 8) & 1) != 0;
}

void ImageBitmap::merge(const ImageBitmap& other) {
  if (this == &other) return;
  const std::scoped_lock guard(mutex_, other.mutex_);
  for (uint64_t byte = 0; byte < other.stored_bytes(); ++byte) {
    const uint8_t value = other.memory_.get()[byte];
    if (value == 0) continue;
    modified_ = true;
    if (granularity_ == other.granularity_) {
      memory_.get()[byte] |= value;
      continue;
    }
    for (uint64_t bit = byte * 8; bit < byte * 8 + 8; ++bit)
      if ((value >> (bit % 8) & 1) != 0) set(ByteRange(bit * other.granularity_, other.granularity_));
  }
}

Result<> ImageBitmap::resize(uint64_t bytes) {
  Memory memory = TRY(allocate(bytes, granularity_));
  const std::lock_guard guard(mutex_);
  if (bytes == bytes_) return {};
  modified_ = true;
  const size_t before = stored_bytes();
  bytes_ = bytes;
  std::memcpy(memory.get(), memory_.get(), std::min(before, stored_bytes()));
  memory_ = std::move(memory);
  if (bits() % 8 != 0) memory_.get()[bits() / 8] &= static_cast<uint8_t>((1u << (bits() % 8)) - 1);
  return {};
}

void ImageBitmap::store(uint64_t first, std::span<uint8_t> out) const {
  const std::lock_guard guard(mutex_);
  const size_t from = first / 8, n = from < stored_bytes() ? std::min(out.size(), stored_bytes() - from) : 0;
  std::ranges::fill(out, 0);
  if (n != 0) std::memcpy(out.data(), memory_.get() + from, n);
}

void ImageBitmap::load(uint64_t first, std::span<const uint8_t> in) {
  const std::lock_guard guard(mutex_);
  const size_t from = first / 8, n = from < stored_bytes() ? std::min(in.size(), stored_bytes() - from) : 0;
  if (n != 0) std::memcpy(memory_.get() + from, in.data(), n);
  if (bits() % 8 != 0) memory_.get()[bits() / 8] &= static_cast<uint8_t>((1u << (bits() % 8)) - 1);
}

}  // namespace rhea::qcow2
