#include "memory/guest_ram.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

namespace rhea {

namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kBitsPerWord = 64;

/// Address space for `size` bytes at a multiple of `align`, so that the host can back it with huge pages.
void* map_aligned(uint64_t size, uint64_t align) {
  uint64_t padded = size + align;
  if (padded < size) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void* area =
      mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return area;
  auto start = reinterpret_cast<uintptr_t>(area);
  uintptr_t aligned = (start + align - 1) & ~(align - 1);
  if (aligned != start) munmap(area, aligned - start);
  if (start + padded != aligned + size)
    munmap(reinterpret_cast<void*>(aligned + size), start + padded - aligned - size);
  return reinterpret_cast<void*>(aligned);
}

void set_bits(std::atomic<uint64_t>& word, uint64_t bits) {
  // Most marks repeat earlier ones: a plain load spares the bus a locked write.
  if ((word.load(std::memory_order_relaxed) & bits) != bits) word.fetch_or(bits, std::memory_order_release);
}

}  // namespace

Result<std::shared_ptr<RamBlock>> RamBlock::create(std::string id, uint64_t size) {
  RamBacking backing;
  backing.reserve = false;
  return map(std::move(id), size, std::move(backing));
}

Result<std::shared_ptr<RamBlock>> RamBlock::map(std::string id, uint64_t size, RamBacking backing) {
  if (size == 0 || size % backing.page_bytes != 0)
    return fail(EINVAL, "RAM block '", id, "': size ", size, " is no multiple of ", backing.page_bytes);
  const uint64_t natural = size >= kHugePage ? kHugePage : kPageSize;
  void* area = map_aligned(size, std::max({natural, backing.align, backing.page_bytes}));
  if (area != MAP_FAILED && (backing.fd || backing.shared || backing.reserve)) {
    const int protection = PROT_READ | (backing.readonly ? 0 : PROT_WRITE);
    const int flags = MAP_FIXED | (backing.shared ? MAP_SHARED : MAP_PRIVATE) |
                      (backing.fd ? 0 : MAP_ANONYMOUS) | (backing.reserve ? 0 : MAP_NORESERVE);
    if (mmap(area, size, protection, flags, backing.fd ? backing.fd.get() : -1, 0) == MAP_FAILED) {
      const int error = errno;
      munmap(area, size);
      errno = error;
      area = MAP_FAILED;
    }
  }
  if (area == MAP_FAILED) return fail(errno, "cannot set up guest memory '", id, "': ", errno_text(errno));
  madvise(area, size, MADV_DONTFORK);
  return std::shared_ptr<RamBlock>(
      new RamBlock(std::move(id), static_cast<uint8_t*>(area), size, std::move(backing)));
}

RamBlock::~RamBlock() {
  munmap(host_, size_);
}

void RamBlock::set_tracking(DirtyClient client, bool on) {
  auto index = static_cast<size_t>(client);
  uint32_t bit = 1u << index;
  if (!on) {
    tracked_.fetch_and(~bit);
    return;
  }
  if (tracking(client)) return;
  uint64_t words = (size_ / kPageSize + kBitsPerWord - 1) / kBitsPerWord;
  // Made once and kept: another thread may still be marking when tracking ends.
  if (bitmaps_[index] == nullptr) bitmaps_[index] = std::make_unique<std::atomic<uint64_t>[]>(words);
  for (uint64_t i = 0; i < words; ++i) bitmaps_[index][i].store(0, std::memory_order_relaxed);
  tracked_.fetch_or(bit, std::memory_order_release);
}

void RamBlock::mark_dirty(uint64_t offset, uint64_t bytes) {
  uint32_t tracked = tracked_.load(std::memory_order_acquire);
  if (tracked == 0 || bytes == 0 || offset >= size_) return;
  uint64_t first = offset / kPageSize;
  uint64_t last = (offset + std::min(bytes, size_ - offset) - 1) / kPageSize;
  for (int c = 0; c < kDirtyClients; ++c) {
    if ((tracked >> c & 1) == 0) continue;
    for (uint64_t page = first; page <= last; ++page)
      set_bits(bitmaps_[c][page / kBitsPerWord], uint64_t{1} << page % kBitsPerWord);
  }
}

void RamBlock::mark_dirty_pages(uint64_t offset, std::span<const uint64_t> words) {
  if (tracked_.load(std::memory_order_relaxed) == 0) return;
  for (size_t i = 0; i < words.size(); ++i) {
    for (uint64_t bits = words[i]; bits != 0; bits &= bits - 1) {
      uint64_t page = i * kBitsPerWord + static_cast<uint64_t>(std::countr_zero(bits));
      mark_dirty(offset + page * kPageSize, kPageSize);
    }
  }
}

bool RamBlock::test_and_clear(DirtyClient client, uint64_t offset) {
  auto index = static_cast<size_t>(client);
  if (offset >= size_ || bitmaps_[index] == nullptr) return false;
  uint64_t page = offset / kPageSize;
  uint64_t bit = uint64_t{1} << page % kBitsPerWord;
  std::atomic<uint64_t>& word = bitmaps_[index][page / kBitsPerWord];
  if ((word.load(std::memory_order_relaxed) & bit) == 0) return false;
  return (word.fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0;
}

}  // namespace rhea
