// Steps about clusters of the image file: how many references each has, which are free.
#include <algorithm>
#include <cstring>

#include "block/drivers/qcow2/image.h"

namespace rhea::qcow2 {

/// The slice with `cluster`'s refcount and its place there. `absent`: no block covers it, so it is zero.
Step<TableSlice*> Image::refcount_slice(uint64_t cluster, uint64_t& index, bool& absent) {
  const uint64_t block = cluster / header_.refcounts_per_block();
  absent = block >= refcount_table_.size() || (refcount_table_[block] & kRefcountTableOffsetMask) == 0;
  if (absent) return nullptr;
  const uint64_t base = refcount_table_[block] & kRefcountTableOffsetMask;
  if (into_cluster(base) != 0)
    return stdx::unexpected(
        corruption(str_cat("Refblock offset 0x", hex(base),
                           " unaligned (reftable index: ", block == 0 ? "" : "0x", hex(block), ")")));
  const uint64_t in_block = cluster % header_.refcounts_per_block();
  index = in_block % refcounts_per_slice();
  const uint64_t offset = base + in_block / refcounts_per_slice() * refcounts_.slice_bytes();
  TableSlice* slice = refcounts_.find(offset);
  if (slice == nullptr) return stdx::unexpected(Need{Need::Kind::kLoad, &refcounts_, offset, {}});
  return slice;
}

Step<uint64_t> Image::refcount(uint64_t cluster) {
  uint64_t index = 0;
  bool absent = false;
  TableSlice* slice = STEP(refcount_slice(cluster, index, absent));
  return absent ? 0 : get_refcount(slice->data->data(), index, header_.refcount_order);
}

/// Makes a refcount block that covers `cluster`, if none does. The block lies at the start of what it covers,
/// where everything is free, unless that comes before all free clusters.
Step<> Image::ensure_refcount_block(uint64_t cluster) {
  const uint64_t block = cluster / header_.refcounts_per_block();
  if (block >= refcount_table_.size())
    return stdx::unexpected(Need{Need::Kind::kGrowRefcountTable, nullptr, block, {}});
  if ((refcount_table_[block] & kRefcountTableOffsetMask) != 0) return {};
  uint64_t home = std::max(free_hint_, block * header_.refcounts_per_block());
  while (STEP(refcount(home)) != 0) ++home;
  const uint64_t home_block = home / header_.refcounts_per_block();
  if (home_block != block) {
    STEP(ensure_refcount_block(home));
    // That one may have taken the cluster itself.
    while (STEP(refcount(home)) != 0) ++home;
    if (home / header_.refcounts_per_block() == home_block)
      STEP(claim(home, 1));
    else if (home / header_.refcounts_per_block() != block)
      return ensure_refcount_block(cluster);
  }
  const uint64_t offset = home << header_.cluster_bits;
  if (offset == 0 || meta_name(home) != nullptr)
    return stdx::unexpected(bad_allocation(offset, "refcount block"));
  const uint32_t slice_bytes = refcounts_.slice_bytes();
  const bool covers_itself = home / header_.refcounts_per_block() == block;
  for (uint64_t at = offset; at < offset + cluster_bytes(); at += slice_bytes) {
    auto data = std::make_shared<AlignedBuffer>();
    if (!data->allocate(std::max(slice_bytes, 512u), slice_bytes))
      return stdx::unexpected(Need::failed(Error(ENOMEM, "Cannot allocate a refcount block")));
    std::memset(data->data(), 0, slice_bytes);
    const uint64_t first =
        (at - offset) / slice_bytes * refcounts_per_slice() + block * header_.refcounts_per_block();
    if (covers_itself && home >= first && home - first < refcounts_per_slice())
      set_refcount(data->data(), home - first, header_.refcount_order, 1);
    refcounts_.drop(at);
    refcounts_.change(refcounts_.insert(at, std::move(data)));
  }
  refcount_table_[block] = offset;
  refcount_table_dirty_[block / kSectorEntries] = true;
  mark_meta(offset, cluster_bytes(), Meta::kRefcountBlock);
  if (free_hint_ == home) ++free_hint_;
  fresh_from_ = std::max(fresh_from_, offset + cluster_bytes());
  return {};
}

/// Gives `count` free clusters from `first` on one reference each: all or none.
Step<> Image::claim(uint64_t first, uint64_t count) {
  uint64_t index = 0;
  bool absent = false;
  for (uint64_t c = first; c < first + count;) {
    TableSlice* slice = STEP(refcount_slice(c, index, absent));
    if (absent) {
      STEP(ensure_refcount_block(c));
      return stdx::unexpected(
          Need{Need::Kind::kLoad, &refcounts_, refcount_table_[c / header_.refcounts_per_block()], {}});
    }
    STEP(reserve(refcounts_, *slice));
    c += refcounts_per_slice() - index;
  }
  for (uint64_t c = first; c < first + count; ++c) {
    TableSlice* slice = STEP(refcount_slice(c, index, absent));  // cannot miss any more
    set_refcount(refcounts_.change(*slice), index, header_.refcount_order, 1);
  }
  return {};
}

Step<Image::Run> Image::allocate(uint64_t want, std::string_view what) {
  want = std::clamp<uint64_t>(want, 1, std::min<uint64_t>(refcounts_per_slice(), 1024));
  uint64_t c = free_hint_;
  while (STEP(refcount(c)) != 0) free_hint_ = ++c;
  uint64_t n = 1;
  while (n < want && STEP(refcount(c + n)) == 0) ++n;
  if ((c + n) > (uint64_t{1} << 55) >> header_.cluster_bits)
    return stdx::unexpected(Need::failed(Error(EFBIG, "The image file is as large as it can be")));
  for (uint64_t i = c; i < c + n; ++i)
    if (i == 0 || meta_name(i) != nullptr)
      return stdx::unexpected(bad_allocation(i << header_.cluster_bits, what));
  for (uint64_t i = c; i < c + n; i += header_.refcounts_per_block()) STEP(ensure_refcount_block(i));
  STEP(ensure_refcount_block(c + n - 1));
  if (STEP(refcount(c)) != 0) return allocate(want, what);  // a refcount block took it
  uint64_t left = 1;
  while (left < n && STEP(refcount(c + left)) == 0) ++left;
  n = left;
  STEP(claim(c, n));
  free_hint_ = c + n;
  Run run{c << header_.cluster_bits, n, false};
  run.fresh = run.offset >= fresh_from_;
  fresh_from_ = std::max(fresh_from_, run.offset + (n << header_.cluster_bits));
  return run;
}

Step<Image::Run> Image::allocate_contiguous(uint64_t clusters) {
  uint64_t first = free_hint_, n = 0;
  for (uint64_t c = first; n < clusters; ++c) {
    if (STEP(refcount(c)) == 0 && meta_name(c) == nullptr) {
      if (n++ == 0) first = c;
    } else {
      n = 0;
    }
    if (c > (uint64_t{1} << 55) >> header_.cluster_bits)
      return stdx::unexpected(Need::failed(Error(EFBIG, "The image file is as large as it can be")));
  }
  for (uint64_t i = first; i < first + clusters; i += header_.refcounts_per_block())
    STEP(ensure_refcount_block(i));
  STEP(ensure_refcount_block(first + clusters - 1));
  for (uint64_t i = first; i < first + clusters; ++i)
    if (STEP(refcount(i)) != 0) return allocate_contiguous(clusters);  // a refcount block took one
  STEP(claim(first, clusters));
  Run run{first << header_.cluster_bits, clusters, false};
  run.fresh = run.offset >= fresh_from_;
  fresh_from_ = std::max(fresh_from_, run.offset + (clusters << header_.cluster_bits));
  return run;
}

Step<> Image::add_reference(uint64_t offset, uint64_t bytes) {
  const uint64_t first = offset >> header_.cluster_bits;
  const uint64_t last = (offset + bytes - 1) >> header_.cluster_bits;
  uint64_t index = 0;
  bool absent = false;
  for (uint64_t c = first; c <= last; ++c) {  // first see that all of it is possible
    TableSlice* slice = STEP(refcount_slice(c, index, absent));
    if (absent)
      return stdx::unexpected(corruption(
          str_cat("Cluster 0x", hex(c << header_.cluster_bits), " is in use but has no refcount")));
    if (get_refcount(slice->data->data(), index, header_.refcount_order) == header_.max_refcount())
      return stdx::unexpected(
          Need::failed(Error(EINVAL, "The refcount of a cluster would become too large")));
    STEP(reserve(refcounts_, *slice));
  }
  for (uint64_t c = first; c <= last; ++c) {
    TableSlice* slice = STEP(refcount_slice(c, index, absent));
    uint8_t* data = refcounts_.change(*slice);
    set_refcount(data, index, header_.refcount_order, get_refcount(data, index, header_.refcount_order) + 1);
  }
  return {};
}

Step<> Image::drop_reference(uint64_t cluster, FreeReason) {
  uint64_t index = 0;
  bool absent = false;
  TableSlice* slice = STEP(refcount_slice(cluster, index, absent));
  const uint64_t n = absent ? 0 : get_refcount(slice->data->data(), index, header_.refcount_order);
  if (n == 0)
    return stdx::unexpected(
        Need::failed(Error(EINVAL, str_cat("The refcount of cluster 0x", hex(cluster << header_.cluster_bits),
                                           " is zero already"))));
  STEP(reserve(refcounts_, *slice));
  set_refcount(refcounts_.change(*slice), index, header_.refcount_order, n - 1);
  if (n == 1) {
    free_hint_ = std::min(free_hint_, cluster);
    // A table of a snapshot that is gone.
    if (const auto it = meta_.find(cluster); it != meta_.end() && it->second == Meta::kInactiveL2)
      meta_.erase(it);
    if (open_bytes_ != 0 && open_bytes_ >> header_.cluster_bits == cluster) open_bytes_ = 0;
  }
  return {};
}

void Image::free_later(uint64_t offset, uint64_t bytes, FreeReason reason) {
  if (bytes == 0) return;
  const uint64_t first = offset >> header_.cluster_bits;
  const uint64_t count = ((offset + bytes - 1) >> header_.cluster_bits) - first + 1;
  if (!frees_.empty() && frees_.back().cluster + frees_.back().count == first &&
      frees_.back().reason == reason)
    frees_.back().count += count;
  else
    frees_.push_back({first, count, reason});
}

void Image::free_entry_later(uint64_t entry, FreeReason reason) {
  if ((entry & kCompressed) != 0) {
    const CompressedExtent e = compressed_extent(entry, header_.cluster_bits);
    free_later(e.offset, e.bytes, reason);
  } else if ((entry & kL2OffsetMask) != 0 && !data_) {
    free_later(entry & kL2OffsetMask, cluster_bytes(), reason);
  }
}

/// Compressed clusters share clusters of the file: each adds a reference to those it touches.
Step<uint64_t> Image::allocate_bytes(uint64_t bytes) {
  const uint64_t size = cluster_bytes();
  const uint64_t left = open_bytes_ != 0 ? size - into_cluster(open_bytes_) : 0;
  if (left >= bytes && STEP(refcount(open_bytes_ >> header_.cluster_bits)) < header_.max_refcount()) {
    STEP(add_reference(open_bytes_, bytes));
    const uint64_t at = open_bytes_;
    open_bytes_ = into_cluster(at + bytes) == 0 ? 0 : at + bytes;
    return at;
  }
  const uint64_t before = left != 0 ? (open_bytes_ >> header_.cluster_bits) + 1 : 0;
  const bool joins = before != 0 && free_hint_ <= before && STEP(refcount(before)) == 0 &&
                     STEP(refcount(before - 1)) < header_.max_refcount() && meta_name(before) == nullptr;
  if (joins) {  // the cluster behind the open one is free: go on into it
    STEP(ensure_refcount_block(before));
    if (STEP(refcount(before)) == 0) {
      std::ignore = STEP(refcount(before - 1));
      STEP(claim(before, 1));
      STEP(add_reference(open_bytes_, 1));
      const uint64_t at = open_bytes_;
      open_bytes_ = into_cluster(at + bytes) == 0 ? 0 : at + bytes;
      fresh_from_ = std::max(fresh_from_, (before + 1) << header_.cluster_bits);
      return at;
    }
  }
  const Run run = STEP(allocate(1, "compressed cluster"));
  open_bytes_ = bytes == size ? 0 : run.offset + bytes;
  return run.offset;
}

}  // namespace rhea::qcow2
