// Writing changed tables in an order that a crash cannot turn into lost data (see image.h), and the refcount
// table's growth, which has to keep to the same order.
#include <algorithm>

#include "block/drivers/qcow2/image.h"
#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

/// What one checkpoint writes: the state of all tables at one moment.
struct Image::Batch {
  std::vector<TableCache::Written> refcounts, l2;
  std::vector<uint64_t> refcount_table, l1;
  std::vector<bool> refcount_table_sectors, l1_sectors;
  uint64_t refcount_table_offset = 0, l1_offset = 0;
  std::vector<Free> frees;
  bool has_refcount_table = false, has_l1 = false;
  bool empty() const {
    return refcounts.empty() && l2.empty() && !has_refcount_table && !has_l1 && frees.empty();
  }
};

namespace {
bool any_set(const std::vector<bool>& bits) {
  return std::ranges::find(bits, true) != bits.end();
}
}  // namespace

bool Image::has_changes() const {
  return l2_.has_dirty() || refcounts_.has_dirty() || !frees_.empty() || any_set(l1_dirty_) ||
         any_set(refcount_table_dirty_);
}

/// Slices that follow each other in the file go in one request.
CoResult<> Image::co_write_slices(const std::vector<TableCache::Written>& slices, uint32_t slice_bytes) {
  constexpr size_t kMaxPieces = 256;
  std::vector<iovec> pieces;
  for (size_t i = 0; i < slices.size();) {
    pieces.clear();
    const uint64_t start = slices[i].offset;
    do {
      pieces.push_back({slices[i].data->data(), slice_bytes});
      ++i;
    } while (i < slices.size() && pieces.size() < kMaxPieces &&
             slices[i].offset == slices[i - 1].offset + slice_bytes);
    const std::span<const iovec> view(pieces);
    co_await or_return(
        co_await file_.co_pwritev(ByteRange(start, pieces.size() * slice_bytes), IoVector(view)));
  }
  co_return Result<>();
}

CoResult<> Image::co_write_table(uint64_t offset, const std::vector<uint64_t>& entries,
                                 std::vector<bool> sectors) {
  std::vector<uint64_t> bytes(kSectorEntries);
  for (size_t s = 0; s < sectors.size(); ++s) {
    const size_t first = s * kSectorEntries;
    if (!sectors[s] || first >= entries.size()) continue;
    const size_t n = std::min(kSectorEntries, entries.size() - first);
    for (size_t i = 0; i < n; ++i) bytes[i] = byte_swapped(entries[first + i]);
    const IoVector view(bytes.data(), n * 8);
    co_await or_return(co_await file_.co_pwritev(ByteRange(offset + first * 8, n * 8), view));
  }
  co_return Result<>();
}

CoResult<> Image::co_write_batch(const Batch& b) {
  if (!b.refcounts.empty()) co_await or_return(co_await co_event("refblock_update_part"));
  co_await or_return(co_await co_write_slices(b.refcounts, refcounts_.slice_bytes()));
  if (b.has_refcount_table) {
    co_await or_return(co_await co_event("reftable_update"));
    co_await or_return(co_await file_.co_flush());
    co_await or_return(
        co_await co_write_table(b.refcount_table_offset, b.refcount_table, b.refcount_table_sectors));
  }
  if (b.l2.empty() && !b.has_l1) co_return Result<>();
  co_await or_return(co_await co_flush_children());
  if (!b.l2.empty()) co_await or_return(co_await co_event("l2_update"));
  co_await or_return(co_await co_write_slices(b.l2, l2_.slice_bytes()));
  if (!b.has_l1) co_return Result<>();
  co_await or_return(co_await co_event("l1_update"));
  if (!b.l2.empty()) co_await or_return(co_await file_.co_flush());
  co_return co_await co_write_table(b.l1_offset, b.l1, b.l1_sectors);
}

CoResult<> Image::co_checkpoint(bool durable) {
  CoMutex::Guard guard = co_await checkpoint_lock_.co_lock();
  Batch b;
  {
    std::lock_guard lock(mutex_);
    if (corrupt_) co_return fail(EIO, "Image '", name_, "' is corrupt");
    if (!refcounts_lazy_ || refcounts_.crowded()) {
      b.refcounts = refcounts_.take_dirty();
      b.has_refcount_table = any_set(refcount_table_dirty_);
      if (b.has_refcount_table) {
        b.refcount_table = refcount_table_;
        b.refcount_table_sectors = refcount_table_dirty_;
        b.refcount_table_offset = header_.refcount_table_offset;
        refcount_table_dirty_.assign(refcount_table_dirty_.size(), false);
      }
    }
    b.l2 = l2_.take_dirty();
    b.has_l1 = any_set(l1_dirty_);
    if (b.has_l1) {
      b.l1 = l1_;
      b.l1_sectors = l1_dirty_;
      b.l1_offset = header_.l1_offset;
      l1_dirty_.assign(l1_dirty_.size(), false);
    }
    b.frees.swap(frees_);
  }
  Result<> done;
  if (!b.empty()) done = co_await co_event("flush_to_os");
  if (done && !b.empty()) done = co_await co_write_batch(b);
  if (done && (durable || !b.frees.empty())) done = co_await co_flush_children();
  {
    std::lock_guard lock(mutex_);
    refcounts_.written(b.refcounts, done.has_value());
    l2_.written(b.l2, done.has_value());
    if (!done) {  // all of it is still to be written
      for (size_t i = 0; i < b.l1_sectors.size() && i < l1_dirty_.size(); ++i)
        if (b.l1_sectors[i]) l1_dirty_[i] = true;
      for (size_t i = 0; i < b.refcount_table_sectors.size() && i < refcount_table_dirty_.size(); ++i)
        if (b.refcount_table_sectors[i]) refcount_table_dirty_[i] = true;
      frees_.insert(frees_.begin(), b.frees.begin(), b.frees.end());
    }
  }
  if (!done) co_return done;
  co_return co_await co_apply_frees(std::move(b.frees));
}

/// The tables that referred to these clusters are durable: now their refcounts go down.
CoResult<> Image::co_apply_frees(std::vector<Free> frees) {
  for (const Free& f : frees) {
    const bool discard = (f.reason == FreeReason::kRequest && options_.discard_request) ||
                         (f.reason == FreeReason::kSnapshot && options_.discard_snapshot) ||
                         (f.reason == FreeReason::kOther && options_.discard_other);
    for (uint64_t c = f.cluster; c < f.cluster + f.count; ++c) {
      bool gone = false;
      if (discard) {  // before the cluster can be anybody else's
        auto look = [&]() -> Step<bool> { return STEP(refcount(c)) == 1; };
        gone = co_await or_return(co_await co_step<bool>(look));
      }
      if (gone)
        std::ignore = co_await file_.co_pdiscard(ByteRange(c << header_.cluster_bits, cluster_bytes()));
      auto drop = [&] { return drop_reference(c, f.reason); };
      co_await or_return(co_await co_step<void>(drop));
    }
  }
  co_return Result<>();
}

CoResult<> Image::co_relieve() {
  constexpr size_t kManyFrees = 4096;
  {
    std::lock_guard lock(mutex_);
    if (!l2_.crowded() && !refcounts_.crowded() && frees_.size() < kManyFrees) co_return Result<>();
  }
  co_return co_await co_checkpoint(false);
}

/// The new table lies behind everything the old one covers, together with the blocks that cover it.
CoResult<> Image::co_grow_refcount_table() {
  CoMutex::Guard checkpoints = co_await checkpoint_lock_.co_lock();
  CoMutex::Guard guard = co_await table_lock_.co_lock();
  std::vector<uint64_t> table;
  {
    std::lock_guard lock(mutex_);
    table = refcount_table_;
  }
  const uint64_t per_block = header_.refcounts_per_block();
  const uint64_t per_cluster = cluster_bytes() / 8;
  const uint64_t first = table.size() * per_block;  // the first cluster that cannot be counted yet
  uint64_t table_clusters = 0, blocks = 0;
  for (uint64_t entries = table.size() + 1;;) {  // until table and blocks cover themselves
    table_clusters = (entries * 3 / 2 + per_cluster - 1) / per_cluster;
    blocks = (table_clusters + blocks + per_block - 1) / per_block;
    const uint64_t needed = table.size() + (table_clusters + blocks + per_block - 1) / per_block;
    if (needed <= entries && blocks * per_block >= table_clusters + blocks) break;
    entries = std::max(entries + 1, needed);
  }
  if (table_clusters * cluster_bytes() > kMaxRefcountTableBytes)
    co_return fail(EFBIG, "The image file is as large as its refcount table can be");
  const uint64_t table_offset = first << header_.cluster_bits;
  const uint64_t blocks_offset = table_offset + table_clusters * cluster_bytes();
  AlignedBuffer block;
  co_await or_return(block.allocate(4096, cluster_bytes()));
  std::vector<uint64_t> bigger = table;
  bigger.resize(table_clusters * per_cluster);
  for (uint64_t b = 0; b < blocks; ++b) {
    std::memset(block.data(), 0, cluster_bytes());
    for (uint64_t i = 0; i < per_block; ++i)
      if (b * per_block + i < table_clusters + blocks)
        set_refcount(block.data(), i, header_.refcount_order, 1);
    const uint64_t at = blocks_offset + b * cluster_bytes();
    bigger[table.size() + b] = at;
    co_await or_return(co_await file_.co_pwritev(ByteRange(at, cluster_bytes()), block.iov(cluster_bytes())));
  }
  std::vector<bool> all(bigger.size() / kSectorEntries + 1, true);
  co_await or_return(co_await co_write_table(table_offset, bigger, std::move(all)));
  co_await or_return(co_await file_.co_flush());
  const uint64_t offset_before = header_.refcount_table_offset;
  const uint32_t clusters_before = header_.refcount_table_clusters;
  {
    std::lock_guard lock(mutex_);
    header_.refcount_table_offset = table_offset;
    header_.refcount_table_clusters = static_cast<uint32_t>(table_clusters);
  }
  Result<> written = co_await co_write_header();
  if (written) written = co_await file_.co_flush();
  std::lock_guard lock(mutex_);
  if (!written) {
    header_.refcount_table_offset = offset_before;
    header_.refcount_table_clusters = clusters_before;
    co_return written;
  }
  // What changed in the old table meanwhile has to be written to the new one.
  std::vector<bool> changed(bigger.size() / kSectorEntries + 1, false);
  for (size_t i = 0; i < refcount_table_.size(); ++i) {
    if (refcount_table_[i] != bigger[i] || refcount_table_dirty_[i / kSectorEntries])
      changed[i / kSectorEntries] = true;
    bigger[i] = refcount_table_[i];
  }
  const uint64_t old_bytes = uint64_t{clusters_before} << header_.cluster_bits;
  unmark_meta(offset_before, old_bytes);
  free_later(offset_before, old_bytes, FreeReason::kOther);
  refcount_table_ = std::move(bigger);
  refcount_table_dirty_ = std::move(changed);
  mark_meta(table_offset, table_clusters * cluster_bytes(), Meta::kRefcountTable);
  mark_meta(blocks_offset, blocks * cluster_bytes(), Meta::kRefcountBlock);
  fresh_from_ = std::max(fresh_from_, blocks_offset + blocks * cluster_bytes());
  co_return Result<>();
}

}  // namespace rhea::qcow2
