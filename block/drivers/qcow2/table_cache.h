// TableCache: pieces of the image's tables (L2 tables, refcount blocks) in memory, by their place in the
// file.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "block/graph/aligned_buffer.h"

namespace rhea::qcow2 {

/// One piece, big-endian as in the file.
struct TableSlice {
  uint64_t offset = 0;  ///< in the image file
  std::shared_ptr<AlignedBuffer> data;
  bool dirty = false;    ///< changed since it was last handed out for writing
  bool writing = false;  ///< a write of an earlier state is under way: must stay
  TableSlice* older = nullptr;
  TableSlice* newer = nullptr;
};

/// Least recently used goes first; dirty slices stay until they have been written. Not synchronised: guarded
/// by its owner's mutex.
class TableCache {
 public:
  /// Room for `bytes` in slices of `slice_bytes`, a power of two; at least two slices.
  void configure(uint64_t bytes, uint32_t slice_bytes);
  uint32_t slice_bytes() const { return slice_bytes_; }

  /// The slice at `offset` (a multiple of slice_bytes()), or null. It becomes the most recently used.
  TableSlice* find(uint64_t offset) {
    const auto it = slices_.find(offset);
    if (it == slices_.end()) return nullptr;
    touch(*it->second);
    return it->second.get();
  }
  /// Puts a slice in that is not there yet; older clean ones may go.
  TableSlice& insert(uint64_t offset, std::shared_ptr<AlignedBuffer> data);
  /// Makes sure that change() gets memory: what is being written has to stay as it was, so the slice may need
  /// a copy. False if there is no memory for one; nothing has changed then. It holds until the owner's mutex
  /// is let go.
  [[nodiscard]] bool reserve(TableSlice& slice);
  /// Memory of a reserved `slice` for changing it; marks it dirty.
  uint8_t* change(TableSlice& slice);
  /// Where the memory for copies comes from; tests put another in its place.
  bool (*allocate)(AlignedBuffer& buffer, uint32_t bytes) = [](AlignedBuffer& buffer, uint32_t bytes) {
    return buffer.allocate(bytes, bytes).has_value();
  };
  /// Forgets a slice whatever its state: its place in the file is no table any more.
  void drop(uint64_t offset);
  void clear();

  /// More is dirty than is good; it is time to write.
  bool crowded() const { return dirty_.size() * 4 > capacity_ * 3; }
  bool has_dirty() const { return !dirty_.empty(); }
  /// Takes what is dirty, sorted by place, and marks it as being written.
  struct Written {
    uint64_t offset;
    std::shared_ptr<AlignedBuffer> data;
  };
  std::vector<Written> take_dirty();
  /// After the write: `ok` false makes the slices dirty again.
  void written(const std::vector<Written>& batch, bool ok);
  /// Frees clean slices that nobody used for a while.
  void trim(size_t keep);
  /// Slices that a single step may need together stay, however small the cache is.
  static constexpr size_t kLeastClean = 8;
  size_t size() const { return slices_.size(); }

 private:
  void touch(TableSlice& slice);
  void link_newest(TableSlice& slice);
  void unlink(TableSlice& slice);
  void evict();
  uint32_t slice_bytes_ = 4096;
  size_t capacity_ = 2;
  size_t clean_ = 0;  ///< slices that could go
  std::unordered_map<uint64_t, std::unique_ptr<TableSlice>> slices_;
  std::vector<TableSlice*> dirty_;
  TableSlice* oldest_ = nullptr;
  TableSlice* newest_ = nullptr;
};

}  // namespace rhea::qcow2
