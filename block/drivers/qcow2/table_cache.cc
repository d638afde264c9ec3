#include "block/drivers/qcow2/table_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rhea::qcow2 {

void TableCache::configure(uint64_t bytes, uint32_t slice_bytes) {
  slice_bytes_ = slice_bytes;
  capacity_ = std::max<size_t>(bytes / slice_bytes, 2);
  evict();
}

void TableCache::link_newest(TableSlice& slice) {
  slice.older = newest_;
  slice.newer = nullptr;
  (newest_ != nullptr ? newest_->newer : oldest_) = &slice;
  newest_ = &slice;
}

void TableCache::unlink(TableSlice& slice) {
  (slice.older != nullptr ? slice.older->newer : oldest_) = slice.newer;
  (slice.newer != nullptr ? slice.newer->older : newest_) = slice.older;
}

void TableCache::touch(TableSlice& slice) {
  if (newest_ == &slice) return;
  unlink(slice);
  link_newest(slice);
}

TableSlice& TableCache::insert(uint64_t offset, std::shared_ptr<AlignedBuffer> data) {
  evict();
  auto [it, fresh] = slices_.try_emplace(offset, std::make_unique<TableSlice>());
  TableSlice& slice = *it->second;
  slice.offset = offset;
  slice.data = std::move(data);
  if (fresh) {
    link_newest(slice);
    ++clean_;
  }
  return slice;
}

void TableCache::evict() {
  if (slices_.size() >= capacity_) trim(capacity_ - 1);
}

bool TableCache::reserve(TableSlice& slice) {
  if (slice.data.use_count() == 1) return true;
  auto copy = std::make_shared<AlignedBuffer>();  // somebody is writing it out
  if (!allocate(*copy, slice_bytes_)) return false;
  std::memcpy(copy->data(), slice.data->data(), slice_bytes_);
  slice.data = std::move(copy);
  return true;
}

uint8_t* TableCache::change(TableSlice& slice) {
  assert(slice.data.use_count() == 1);
  if (!slice.dirty) {
    if (!slice.writing) --clean_;
    slice.dirty = true;
    dirty_.push_back(&slice);
  }
  return slice.data->data();
}

void TableCache::drop(uint64_t offset) {
  const auto it = slices_.find(offset);
  if (it == slices_.end()) return;
  std::erase(dirty_, it->second.get());
  if (!it->second->dirty && !it->second->writing) --clean_;
  unlink(*it->second);
  slices_.erase(it);
}

void TableCache::clear() {
  slices_.clear();
  dirty_.clear();
  clean_ = 0;
  oldest_ = newest_ = nullptr;
}

std::vector<TableCache::Written> TableCache::take_dirty() {
  std::vector<Written> out;
  out.reserve(dirty_.size());
  for (TableSlice* s : dirty_) {
    s->dirty = false;
    s->writing = true;
    out.push_back({s->offset, s->data});
  }
  dirty_.clear();
  std::ranges::sort(out, {}, &Written::offset);
  return out;
}

void TableCache::written(const std::vector<Written>& batch, bool ok) {
  for (const Written& w : batch) {
    const auto it = slices_.find(w.offset);
    if (it == slices_.end()) continue;  // dropped meanwhile
    TableSlice& s = *it->second;
    s.writing = false;
    if (s.dirty) continue;
    if (ok) {
      ++clean_;
      continue;
    }
    s.dirty = true;
    dirty_.push_back(&s);
  }
}

void TableCache::trim(size_t keep) {
  for (TableSlice* s = oldest_; s != nullptr && slices_.size() > keep && clean_ > kLeastClean;) {
    TableSlice* next = s->newer;
    if (!s->dirty && !s->writing) {
      unlink(*s);
      slices_.erase(s->offset);
      --clean_;
    }
    s = next;
  }
}

}  // namespace rhea::qcow2
