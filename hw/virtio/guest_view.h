// GuestView: guest memory as one snapshot shows it, for who reads rings and moves data without a lock.
#pragma once

#include <memory>

#include "memory/memory.h"

namespace rhea {

/// A place in guest RAM.
struct GuestPlace {
  uint8_t* host = nullptr;  ///< null: no RAM there, or not to be written
  uint64_t bytes = 0;       ///< how many are contiguous, at most those asked for
  RamBlock* block = nullptr;
  uint64_t offset = 0;  ///< in `block`

  /// After `count` bytes at `at` were written.
  void mark_written(uint64_t at, uint64_t count) const { block->mark_dirty(offset + at, count); }
};

/// Copies share the snapshot, which keeps its memory alive. Any thread.
class GuestView {
 public:
  GuestView() = default;
  explicit GuestView(std::shared_ptr<const FlatView> view) : view_(std::move(view)) {}
  explicit operator bool() const { return view_ != nullptr; }
  friend bool operator==(const GuestView&, const GuestView&) = default;

  GuestPlace find(GuestAddr addr, uint64_t bytes, bool for_write) const {
    const FlatRange* range = view_->find(addr);
    if (range == nullptr || range->ram == nullptr || (for_write && range->readonly)) return {};
    const uint64_t into = addr - range->start;
    const uint64_t offset = range->region_offset + into;
    return {range->ram->host() + offset, std::min(bytes, range->size - into), range->ram, offset};
  }
  /// All of [addr, addr + bytes), which must lie in one piece.
  GuestPlace find_whole(GuestAddr addr, uint64_t bytes, bool for_write) const {
    const GuestPlace place = find(addr, bytes, for_write);
    return place.bytes == bytes ? place : GuestPlace{};
  }

 private:
  std::shared_ptr<const FlatView> view_;
};

}  // namespace rhea
