#include "block/graph/dirty_bitmap.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "util/log.h"
#include "util/sha256.h"

namespace rhea {

DirtyBitmap::~DirtyBitmap() = default;

/// Zeroed; large ones cost memory only where bits are set. Null without memory.
DirtyBitmap::Words DirtyBitmap::allocate(uint64_t bits) {
  return Words(static_cast<uint64_t*>(std::calloc(word_count(bits), sizeof(uint64_t))));
}

Result<std::shared_ptr<DirtyBitmap>> DirtyBitmap::create(std::string name, uint64_t bytes,
                                                         uint64_t granularity) {
  if (granularity < kMinGranularity || granularity > kMaxGranularity || !std::has_single_bit(granularity))
    return fail(EINVAL, "Granularity must be power of 2 and at least 512");
  Words words = allocate((bytes + granularity - 1) / granularity);
  if (words == nullptr) return fail(ENOMEM, "No memory for a dirty bitmap of ", bytes, " bytes");
  return std::shared_ptr<DirtyBitmap>(new DirtyBitmap(std::move(name), bytes, granularity, std::move(words)));
}

void DirtyBitmap::change_bits(uint64_t first, uint64_t last, bool value) {
  for (uint64_t at = first; at < last;) {
    const uint64_t bit = at % 64, n = std::min<uint64_t>(64 - bit, last - at);
    const uint64_t mask = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << bit;
    at += n;
    uint64_t& word = words_.get()[(at - 1) / 64];
    const uint64_t next = value ? word | mask : word & ~mask;
    if (next == word) continue;  // what is clear costs no memory
    count_ += static_cast<uint64_t>(std::popcount(next)) - static_cast<uint64_t>(std::popcount(word));
    word = next;
    modified_ = true;
  }
}

void DirtyBitmap::change(ByteRange range, bool value) {
  if (range.bytes == 0 || range.offset >= bytes_) return;
  const uint64_t end = range.bytes > bytes_ - range.offset ? bytes_ : range.end();
  std::lock_guard guard(mutex_);
  change_bits(range.offset / granularity_, (end + granularity_ - 1) / granularity_, value);
}

void DirtyBitmap::set(ByteRange range) {
  change(range, true);
}
void DirtyBitmap::clear(ByteRange range) {
  change(range, false);
}
void DirtyBitmap::set_all() {
  change({0, bytes_}, true);
}
void DirtyBitmap::clear_all() {
  change({0, bytes_}, false);
}

void DirtyBitmap::mark(ByteRange range) {
  if (successor_ != nullptr) return successor_->set(range);
  if (enabled_) set(range);
}

bool DirtyBitmap::is_set(uint64_t offset) const {
  if (offset >= bytes_) return false;
  const uint64_t bit = offset / granularity_;
  std::lock_guard guard(mutex_);
  return (words_.get()[bit / 64] >> bit % 64 & 1) != 0;
}

uint64_t DirtyBitmap::dirty_bytes() const {
  std::lock_guard guard(mutex_);
  uint64_t bytes = count_ * granularity_;
  if (const uint64_t tail = bytes_ % granularity_; tail != 0) {
    const uint64_t last = bits() - 1;
    if ((words_.get()[last / 64] >> last % 64 & 1) != 0) bytes -= granularity_ - tail;
  }
  return bytes;
}

/// With the mutex held. `to` is at most bits().
std::optional<uint64_t> DirtyBitmap::next_bit(uint64_t from, uint64_t to, bool value) const {
  while (from < to) {
    uint64_t word = words_.get()[from / 64];
    if (!value) word = ~word;
    word >>= from % 64;
    if (word != 0) {
      from += static_cast<uint64_t>(std::countr_zero(word));
      return from < to ? std::optional(from) : std::nullopt;
    }
    from = (from / 64 + 1) * 64;
  }
  return std::nullopt;
}

std::optional<uint64_t> DirtyBitmap::next_dirty(uint64_t offset) const {
  if (offset >= bytes_) return std::nullopt;
  std::lock_guard guard(mutex_);
  const auto bit = next_bit(offset / granularity_, bits(), true);
  if (!bit) return std::nullopt;
  return std::max(offset, *bit * granularity_);
}

std::optional<ByteRange> DirtyBitmap::next_area(uint64_t from, uint64_t to, uint64_t max_bytes) const {
  to = std::min(to, bytes_);
  if (from >= to) return std::nullopt;
  std::lock_guard guard(mutex_);
  const uint64_t end = (to + granularity_ - 1) / granularity_;
  const auto first = next_bit(from / granularity_, end, true);
  if (!first) return std::nullopt;
  const uint64_t last = next_bit(*first, end, false).value_or(end);
  const uint64_t begin = std::max(from, *first * granularity_);
  if (begin >= to) return std::nullopt;
  uint64_t bytes = std::min(to, last * granularity_) - begin;
  if (max_bytes != 0) bytes = std::min(bytes, max_bytes);
  return ByteRange{begin, bytes};
}

void DirtyBitmap::merge(const DirtyBitmap& other) {
  for (uint64_t at = 0;;) {
    const auto area = other.next_area(at, other.bytes());
    if (!area) return;
    set(*area);
    at = area->end();
  }
}

Result<> DirtyBitmap::resize(uint64_t bytes) {
  const uint64_t new_bits = (bytes + granularity_ - 1) / granularity_;
  Words words = allocate(new_bits);
  if (words == nullptr) return fail(ENOMEM, "No memory for a dirty bitmap of ", bytes, " bytes");
  if (successor_ != nullptr) TRY(successor_->resize(bytes));
  std::lock_guard guard(mutex_);
  const uint64_t kept = std::min(bits(), new_bits);
  std::memcpy(words.get(), words_.get(), word_count(kept) * sizeof(uint64_t));
  words_ = std::move(words);
  bytes_ = bytes;
  modified_ = true;
  trim();
  return {};
}

/// Clears what stands behind the end in the last word, and counts anew. With the mutex held.
void DirtyBitmap::trim() {
  const uint64_t end = bits();
  words_.get()[end / 64] &= (uint64_t{1} << end % 64) - 1;
  count_ = 0;
  for (uint64_t i = 0; i < word_count(end); ++i)
    count_ += static_cast<uint64_t>(std::popcount(words_.get()[i]));
}

void DirtyBitmap::swap_bits(DirtyBitmap& other) {
  std::scoped_lock guard(mutex_, other.mutex_);
  std::swap(words_, other.words_);
  std::swap(count_, other.count_);
  modified_ = other.modified_ = true;
}

Result<> DirtyBitmap::freeze() {
  successor_ = TRY(create({}, bytes_, granularity_));
  successor_->set_enabled(enabled_);
  return {};
}

void DirtyBitmap::thaw(bool keep) {
  if (successor_ == nullptr) return;
  const std::shared_ptr<DirtyBitmap> beside = std::move(successor_);
  if (!keep) clear_all();
  merge(*beside);
}

// The words are in memory as they are stored: this program runs on little-endian machines.
static_assert(std::endian::native == std::endian::little);

void DirtyBitmap::store(uint64_t first, std::span<uint8_t> out) const {
  std::lock_guard guard(mutex_);
  const uint64_t from = first / 8, end = (bits() + 7) / 8;
  const size_t n = from < end ? std::min<uint64_t>(out.size(), end - from) : 0;
  std::ranges::fill(out, uint8_t{0});
  if (n != 0) std::memcpy(out.data(), reinterpret_cast<const uint8_t*>(words_.get()) + from, n);
}

void DirtyBitmap::load(uint64_t first, std::span<const uint8_t> in) {
  std::lock_guard guard(mutex_);
  const uint64_t from = first / 8, end = (bits() + 7) / 8;
  if (from >= end) return;
  const size_t n = std::min<uint64_t>(in.size(), end - from);
  const uint64_t first_word = from / 8, words = (from + n + 7) / 8 - first_word;
  const auto count = [&] {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < words; ++i)
      sum += static_cast<uint64_t>(std::popcount(words_.get()[first_word + i]));
    return sum;
  };
  const uint64_t before = count();
  std::memcpy(reinterpret_cast<uint8_t*>(words_.get()) + from, in.data(), n);
  if (from + n == end && bits() % 64 != 0) words_.get()[bits() / 64] &= (uint64_t{1} << bits() % 64) - 1;
  count_ += count() - before;
  modified_ = true;
}

std::string DirtyBitmap::sha256() const {
  const size_t words = std::max<size_t>((bits() + 63) / 64, 1);
  Sha256 hash;
  for (size_t i = 0; i < words; ++i) {
    uint8_t bytes[8];
    store(i * 64, bytes);
    hash.add(bytes);
  }
  return hash.hex();
}

DirtyBitmap* DirtyBitmapSet::find(std::string_view name) const {
  if (name.empty()) return nullptr;
  auto it = std::ranges::find_if(all_, [&](const auto& b) { return b->name() == name; });
  return it == all_.end() ? nullptr : it->get();
}

void DirtyBitmapSet::add(std::shared_ptr<DirtyBitmap> bitmap) {
  std::lock_guard guard(mutex_);
  all_.push_back(std::move(bitmap));
}

void DirtyBitmapSet::remove(const DirtyBitmap& bitmap) {
  std::lock_guard guard(mutex_);
  std::erase_if(all_, [&](const auto& b) { return b.get() == &bitmap; });
}

void DirtyBitmapSet::mark(ByteRange range) {
  std::lock_guard guard(mutex_);
  for (const auto& b : all_) b->mark(range);
}

void DirtyBitmapSet::resize(uint64_t bytes) {
  std::lock_guard guard(mutex_);
  for (const auto& b : all_) {
    if (b->bytes() == bytes) continue;
    // Without memory for the new length it cannot tell the truth any more.
    if (Result<> r = b->resize(bytes); !r) {
      warn_report(r.error().message());
      b->set_inconsistent();
    }
  }
}

}  // namespace rhea
