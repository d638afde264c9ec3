// Steps about guest clusters: what the L2 tables say and how writes change it.
#include <algorithm>
#include <bit>

#include "block/drivers/qcow2/image.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

namespace {
/// Bits [first, last] of a subcluster bitmap half.
uint64_t sub_bits(uint32_t first, uint32_t last) {
  return ((uint64_t{2} << last) - 1) & ~((uint64_t{1} << first) - 1);
}
/// Hexadecimal, with a prefix where that says something.
std::string place(uint64_t n) {
  return n == 0 ? std::string("0") : str_cat("0x", hex(n));
}
constexpr uint64_t kAllAllocated = 0xffffffff;
constexpr uint32_t kZeroShift = 32;
}  // namespace

uint64_t Image::entry_at(const TableSlice& slice, uint32_t index) const {
  return load_be<uint64_t>(slice.data->data() + size_t{index} * header_.l2_entry_bytes());
}

/// Without subclusters: 0.
uint64_t Image::bitmap_at(const TableSlice& slice, uint32_t index) const {
  return header_.extended_l2() ? load_be<uint64_t>(slice.data->data() + size_t{index} * 16 + 8) : 0;
}

void Image::set_entry(TableSlice& slice, uint32_t index, uint64_t entry, uint64_t bitmap) {
  uint8_t* at = l2_.change(slice) + size_t{index} * header_.l2_entry_bytes();
  store_be(at, entry);
  if (header_.extended_l2()) store_be(at + 8, bitmap);
}

/// The L2 table that maps `guest`; 0: there is none.
Step<uint64_t> Image::l2_table(uint64_t guest) {
  const uint64_t index = guest / header_.l2_span();
  if (index >= l1_.size()) return 0;
  const uint64_t offset = l1_[index] & kL1OffsetMask;
  if (into_cluster(offset) != 0)
    return stdx::unexpected(
        corruption(str_cat("L2 table offset ", place(offset), " unaligned (L1 index: ", place(index), ")")));
  return offset;
}

/// Null: there is no table.
Step<TableSlice*> Image::l2_slice(uint64_t guest, uint32_t& index) {
  const uint64_t table = STEP(l2_table(guest));
  if (table == 0) return nullptr;
  const uint64_t in_table = guest % header_.l2_span() >> header_.cluster_bits;
  index = static_cast<uint32_t>(in_table % entries_per_slice());
  const uint64_t offset = table + in_table / entries_per_slice() * l2_.slice_bytes();
  TableSlice* slice = l2_.find(offset);
  if (slice == nullptr) return stdx::unexpected(Need{Need::Kind::kLoad, &l2_, offset, {}});
  return slice;
}

Step<TableSlice*> Image::l2_slice_for_write(uint64_t guest, uint32_t& index) {
  const uint64_t l1_index = guest / header_.l2_span();
  if (l1_index >= l1_.size())
    return stdx::unexpected(Need::failed(Error(EIO, "Write behind the end of the L1 table")));
  if ((l1_[l1_index] & kCopied) == 0)
    return stdx::unexpected(Need{Need::Kind::kNewL2, nullptr, l1_index, {}});
  return l2_slice(guest, index);
}

/// "(L2 offset: 0x40000, L2 index: 0x1)"
std::string Image::l2_place(uint64_t guest) const {
  return str_cat("(L2 offset: ", place(l1_[guest / header_.l2_span()] & kL1OffsetMask),
                 ", L2 index: ", place(guest % header_.l2_span() >> header_.cluster_bits), ")");
}

Step<> Image::check_entry(uint64_t guest, uint64_t entry) {
  const uint64_t host = entry & kL2OffsetMask;
  if ((entry & kCompressed) == 0 && into_cluster(host) != 0)
    return stdx::unexpected(
        corruption((entry & kZero) != 0
                       ? str_cat("Preallocated zero cluster offset ", place(host),
                                 " unaligned (guest offset: ", place(cluster_floor(guest)), ")")
                       : str_cat("Cluster allocation offset ", place(host), " unaligned ", l2_place(guest))));
  return {};
}

/// What the subcluster `sub` of a cluster with this entry is; `guest`: its first byte. The run is not
/// counted.
Step<Mapping> Image::classify(uint64_t guest, uint64_t entry, uint64_t bitmap, uint32_t sub) {
  Mapping m;
  m.entry = entry;
  if ((entry & kCompressed) != 0) {
    m.kind = ClusterKind::kCompressed;
    return m;
  }
  STEP(check_entry(guest, entry));
  const uint64_t offset = entry & kL2OffsetMask;
  // With an external data file a cluster may lie at 0; the copied flag tells.
  m.allocated = offset != 0 || (data_ && (entry & kCopied) != 0);
  if (m.allocated) m.host = offset + sub * header_.subcluster_bytes();
  bool zero = (entry & kZero) != 0 && header_.version >= 3 && !header_.extended_l2();
  bool data = m.allocated;
  if (header_.extended_l2()) {
    const bool alloc_bit = bitmap >> sub & 1;
    zero = bitmap >> (sub + kZeroShift) & 1;
    data = alloc_bit;
    if (zero && alloc_bit)
      return stdx::unexpected(corruption(str_cat("Invalid cluster entry found ", l2_place(guest))));
    if (data && !m.allocated)
      return stdx::unexpected(corruption(str_cat("Invalid cluster entry found ", l2_place(guest))));
  }
  m.kind = zero ? ClusterKind::kZero : data ? ClusterKind::kData : ClusterKind::kUnallocated;
  return m;
}

Step<Mapping> Image::map(ByteRange range) {
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice(range.offset, index));
  if (slice == nullptr) {
    Mapping none;
    none.bytes = std::min(range.bytes, header_.l2_span() - range.offset % header_.l2_span());
    return none;
  }
  const uint64_t unit = header_.subcluster_bytes();
  auto sub = static_cast<uint32_t>(into_cluster(range.offset) / unit);
  const uint64_t skew = range.offset % unit;
  Mapping first = STEP(classify(range.offset, entry_at(*slice, index), bitmap_at(*slice, index), sub));
  if (first.kind == ClusterKind::kCompressed) {
    first.bytes = std::min(range.bytes, cluster_bytes() - into_cluster(range.offset));
    return first;
  }
  uint64_t run = unit - skew;
  while (run < range.bytes) {
    if (++sub == header_.subclusters()) {
      sub = 0;
      if (++index == entries_per_slice()) break;
    }
    Step<Mapping> next = classify(range.offset + run, entry_at(*slice, index), bitmap_at(*slice, index), sub);
    if (!next || next->kind != first.kind || next->allocated != first.allocated) break;
    if (first.allocated && next->host != first.host + run + skew) break;
    run += unit;
  }
  if (first.allocated) first.host += skew;
  first.bytes = std::min(run, range.bytes);
  return first;
}

bool Image::conflicts(uint64_t first, uint64_t end, bool any) const {
  for (const WritePlan* p = plans_; p != nullptr; p = p->next)
    if ((any || p->allocates) && p->clusters.offset < end && first < p->clusters.end()) return true;
  return false;
}

void Image::list_plan(WritePlan& plan) {
  plan.prev = nullptr;
  plan.next = plans_;
  if (plans_ != nullptr) plans_->prev = &plan;
  plans_ = &plan;
  plan.listed = true;
}

void Image::end_plan(WritePlan& plan, bool failed) {
  if (!plan.listed) return;
  (plan.prev != nullptr ? plan.prev->next : plans_) = plan.next;
  if (plan.next != nullptr) plan.next->prev = plan.prev;
  plan.listed = false;
  if (failed && plan.owns_host && !data_) free_later(plan.host, plan.clusters.bytes, FreeReason::kNever);
  plans_done_.wake_all();
}

/// All of [first_sub, last_sub] has data in a cluster that belongs to this table alone.
bool Image::writes_in_place(uint64_t entry, uint64_t bitmap, uint32_t first_sub, uint32_t last_sub) const {
  if ((entry & kCompressed) != 0 || (entry & kCopied) == 0) return false;
  if (!header_.extended_l2()) return (entry & kZero) == 0 || header_.version < 3;
  const uint64_t want = sub_bits(first_sub, last_sub);
  return (bitmap & want) == want && (bitmap >> kZeroShift & want) == 0;
}

Step<> Image::plan_write(ByteRange range, WritePlan& plan) {
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice_for_write(range.offset, index));
  const uint64_t size = cluster_bytes(), unit = header_.subcluster_bytes();
  // All clusters of the run that can be written in place, or else all of it that cannot.
  uint64_t at = cluster_floor(range.offset), host = 0, n = 0;
  bool in_place = false;
  for (uint32_t i = index; i < entries_per_slice() && at < range.end(); ++i, at += size, ++n) {
    const uint64_t entry = entry_at(*slice, i);
    STEP(check_entry(at, entry));
    const uint64_t from = std::max(at, range.offset), to = std::min(at + size, range.end());
    const bool now = writes_in_place(entry, bitmap_at(*slice, i), static_cast<uint32_t>((from - at) / unit),
                                     static_cast<uint32_t>((to - at - 1) / unit));
    const uint64_t offset = entry & kL2OffsetMask;
    if (const char* what = now && !data_ ? meta_name(offset >> header_.cluster_bits) : nullptr;
        what != nullptr)
      return stdx::unexpected(
          corruption(str_cat("Preventing invalid write on metadata (overlaps with ", what, ")")));
    if (n == 0) {
      in_place = now;
      host = offset;
    } else if (now != in_place || (now && offset != host + n * size)) {
      break;
    }
  }
  plan = WritePlan{};
  plan.guest = ByteRange(range.offset, std::min(range.end(), at) - range.offset);
  plan.clusters = ByteRange(cluster_floor(range.offset), n * size);
  if (conflicts(plan.clusters.offset, plan.clusters.end(), !in_place))
    return stdx::unexpected(Need{Need::Kind::kWait, nullptr, 0, {}});
  if (!in_place) return plan_allocation(plan.guest, plan, *slice, index);
  plan.host = host;
  plan.copied = plan.guest;
  list_plan(plan);
  return {};
}

/// The cluster is this table's own but its data does not count yet (zero, or subclusters without data).
Step<> Image::plan_one_in_place(ByteRange range, WritePlan& plan, uint64_t entry) {
  const uint64_t unit = header_.subcluster_bytes();
  plan.clusters = ByteRange(cluster_floor(range.offset), cluster_bytes());
  plan.guest = ByteRange(range.offset, std::min(range.end(), plan.clusters.end()) - range.offset);
  plan.host = entry & kL2OffsetMask;
  const uint64_t first = plan.guest.offset & ~(unit - 1);
  plan.copied = ByteRange(first, ((plan.guest.end() + unit - 1) & ~(unit - 1)) - first);
  plan.allocates = true;
  list_plan(plan);
  return {};
}

Step<> Image::plan_allocation(ByteRange range, WritePlan& plan, TableSlice& slice, uint32_t index) {
  const uint64_t entry = entry_at(slice, index);
  if ((entry & kCopied) != 0 && (entry & kCompressed) == 0) return plan_one_in_place(range, plan, entry);
  // As many clusters as are not there yet, but no more than one request is good for.
  constexpr uint64_t kMostBytes = 4u << 20;
  uint64_t want = 1;
  while (want * cluster_bytes() < std::min(kMostBytes, plan.clusters.bytes)) {
    const uint64_t next = entry_at(slice, index + static_cast<uint32_t>(want));
    if ((next & kCopied) != 0 && (next & kCompressed) == 0) break;
    ++want;
  }
  const uint64_t last_entry = entry_at(slice, index + static_cast<uint32_t>(want) - 1);
  // From here on the slice may go: clusters are looked for.
  const Run run = data_ ? Run{plan.clusters.offset, want, false} : STEP(allocate(want));
  plan.host = run.offset;
  plan.fresh = run.fresh;
  plan.owns_host = true;
  plan.allocates = true;
  plan.clusters.bytes = run.clusters * cluster_bytes();
  plan.guest.bytes = std::min(range.end(), plan.clusters.end()) - range.offset;
  // A cluster that has data elsewhere is copied whole; of others only the subclusters that are written.
  const uint64_t unit = header_.subcluster_bytes();
  const auto whole = [&](uint64_t e) {
    return !header_.extended_l2() || (e & (kCompressed | kL2OffsetMask)) != 0;
  };
  const bool last_whole = run.clusters < want || whole(last_entry);
  const uint64_t first = whole(entry) ? plan.clusters.offset : plan.guest.offset & ~(unit - 1);
  const uint64_t end = last_whole
                           ? plan.clusters.end()
                           : std::min(plan.clusters.end(), (plan.guest.end() + unit - 1) & ~(unit - 1));
  plan.copied = ByteRange(first, end - first);
  list_plan(plan);
  return {};
}

Step<> Image::link(WritePlan& plan) {
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice_for_write(plan.clusters.offset, index));
  STEP(reserve(l2_, *slice));
  const uint64_t size = cluster_bytes(), unit = header_.subcluster_bytes();
  for (uint64_t at = plan.clusters.offset; at < plan.clusters.end(); at += size, ++index) {
    const uint64_t old = entry_at(*slice, index);
    uint64_t bitmap = bitmap_at(*slice, index);
    const uint64_t from = std::max(at, plan.copied.offset), to = std::min(at + size, plan.copied.end());
    const uint64_t bits = header_.extended_l2() ? sub_bits(static_cast<uint32_t>((from - at) / unit),
                                                           static_cast<uint32_t>((to - 1 - at) / unit))
                                                : 0;
    if (plan.owns_host && (old & (kCompressed | kL2OffsetMask)) != 0) {
      free_entry_later(old, FreeReason::kNever);
      bitmap = 0;
    }
    bitmap = (bitmap & ~(bits << kZeroShift)) | bits;
    set_entry(*slice, index, (plan.host + (at - plan.clusters.offset)) | kCopied, bitmap);
  }
  return {};
}

Step<> Image::link_compressed(uint64_t guest, uint64_t entry) {
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice_for_write(guest, index));
  if (conflicts(guest, guest + cluster_bytes(), true))
    return stdx::unexpected(Need{Need::Kind::kWait, nullptr, 0, {}});
  STEP(reserve(l2_, *slice));
  free_entry_later(entry_at(*slice, index), FreeReason::kOther);
  set_entry(*slice, index, entry, 0);
  return {};
}

Step<uint64_t> Image::zero(ByteRange range, bool unmap) {
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice_for_write(range.offset, index));
  const uint64_t size = cluster_bytes(), unit = header_.subcluster_bytes();
  if (conflicts(cluster_floor(range.offset), cluster_ceil(range.end()), true))
    return stdx::unexpected(Need{Need::Kind::kWait, nullptr, 0, {}});
  STEP(reserve(l2_, *slice));
  uint64_t at = range.offset;
  for (; at < range.end() && index < entries_per_slice(); ++index) {
    const uint64_t cluster = cluster_floor(at), end = std::min(cluster + size, range.end());
    const uint64_t old = entry_at(*slice, index);
    uint64_t bitmap = bitmap_at(*slice, index);
    const bool whole = at == cluster && end == cluster + size;
    const bool allocated = (old & (kCompressed | kL2OffsetMask)) != 0;
    const bool gone = whole && allocated && ((old & kCompressed) != 0 || unmap || (old & kCopied) == 0);
    if (gone) free_entry_later(old, FreeReason::kRequest);
    uint64_t entry = gone ? 0 : old;
    if (header_.extended_l2()) {
      const uint64_t bits = sub_bits(static_cast<uint32_t>((at - cluster) / unit),
                                     static_cast<uint32_t>((end - 1 - cluster) / unit));
      if (!whole && (old & kCompressed) != 0)
        return stdx::unexpected(Need::failed(Error(ENOTSUP, "part of a compressed cluster")));
      bitmap = gone ? 0 : bitmap & ~bits;
      bitmap |= bits << kZeroShift;
    } else {
      entry |= kZero;
    }
    if (entry != old || header_.extended_l2()) set_entry(*slice, index, entry, bitmap);
    at = end;
  }
  return at - range.offset;
}

Step<uint64_t> Image::discard(ByteRange range, bool full, bool has_backing, FreeReason reason) {
  const uint64_t table = STEP(l2_table(range.offset));
  if (table == 0 && (full || !has_backing))
    return std::min(range.bytes, header_.l2_span() - range.offset % header_.l2_span());
  uint32_t index = 0;
  TableSlice* slice = STEP(l2_slice_for_write(range.offset, index));
  if (conflicts(range.offset, range.end(), true))
    return stdx::unexpected(Need{Need::Kind::kWait, nullptr, 0, {}});
  STEP(reserve(l2_, *slice));
  uint64_t at = range.offset;
  for (; at < range.end() && index < entries_per_slice(); ++index, at += cluster_bytes()) {
    const uint64_t old = entry_at(*slice, index), old_bitmap = bitmap_at(*slice, index);
    const bool allocated = (old & (kCompressed | kL2OffsetMask)) != 0;
    uint64_t entry = 0, bitmap = 0;
    if (full) {
      entry = 0;
    } else if (has_backing || allocated) {
      if (header_.extended_l2())
        bitmap = kAllAllocated << kZeroShift;
      else
        entry = header_.version >= 3 ? kZero : 0;
    } else {
      entry = old;
      bitmap = old_bitmap;
    }
    if (entry == old && bitmap == old_bitmap) continue;
    if (allocated) free_entry_later(old, reason);
    set_entry(*slice, index, entry, bitmap);
  }
  return std::min(at, range.end()) - range.offset;
}

Step<uint64_t> Image::refresh_copied(uint64_t table, uint64_t first, const std::vector<uint64_t>& leaving) {
  const uint64_t per_slice = entries_per_slice();
  const uint64_t offset = table + first / per_slice * l2_.slice_bytes();
  TableSlice* slice = l2_.find(offset);
  if (slice == nullptr) return stdx::unexpected(Need{Need::Kind::kLoad, &l2_, offset, {}});
  STEP(reserve(l2_, *slice));
  const uint64_t last = (first / per_slice + 1) * per_slice - 1;
  for (uint64_t i = first; i <= last; ++i) {
    const auto index = static_cast<uint32_t>(i % per_slice);
    const uint64_t entry = entry_at(*slice, index), host = entry & kL2OffsetMask;
    if ((entry & kCompressed) != 0 || host == 0 || data_) continue;
    const size_t there = i * header_.l2_entry_bytes() / 8;
    const bool left = there < leaving.size() && (leaving[there] & kCompressed) == 0 &&
                      (leaving[there] & kL2OffsetMask) == host;
    const uint64_t n = STEP(refcount(host >> header_.cluster_bits)) - (left ? 1 : 0);
    const uint64_t now = n == 1 ? entry | kCopied : entry & ~kCopied;
    if (now != entry) set_entry(*slice, index, now, bitmap_at(*slice, index));
  }
  return last;
}

void Image::drop_l2_cache() {
  l2_.clear();
  std::erase_if(meta_, [](const auto& m) { return m.second == Meta::kActiveL2; });
  for (const uint64_t e : l1_)
    if ((e & kL1OffsetMask) != 0) mark_meta(e & kL1OffsetMask, cluster_bytes(), Meta::kActiveL2);
}

}  // namespace rhea::qcow2
