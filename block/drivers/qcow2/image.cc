#include "block/drivers/qcow2/image.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "block/drivers/qcow2/snapshot.h"
#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "util/byteorder.h"
#include "util/log.h"

namespace rhea::qcow2 {

CoResult<> Image::co_open(Header header, const ImageOptions& options, bool writable) {
  header_ = std::move(header);
  options_ = options;
  writable_ = writable;
  const auto slice = static_cast<uint32_t>(std::min<uint64_t>(cluster_bytes(), options_.l2_slice_bytes));
  l2_.configure(options_.l2_cache_bytes, slice);
  constexpr uint64_t kRefcountSlice = 4096;
  refcounts_.configure(options_.refcount_cache_bytes,
                       static_cast<uint32_t>(std::min(cluster_bytes(), kRefcountSlice)));
  l1_.resize(header_.l1_entries);
  Result<> read = co_await co_read_entries(header_.l1_offset, l1_);
  if (!read) co_return Failure(std::move(read).error().prepend("Could not read L1 table: "));
  l1_dirty_.assign(l1_.size() / kSectorEntries + 1, false);
  refcount_table_.resize((uint64_t{header_.refcount_table_clusters} << header_.cluster_bits) / 8);
  read = co_await co_read_entries(header_.refcount_table_offset, refcount_table_);
  if (!read) co_return Failure(std::move(read).error().prepend("Could not read the refcount table: "));
  refcount_table_dirty_.assign(refcount_table_.size() / kSectorEntries + 1, false);
  fresh_from_ = cluster_ceil(file_.node().total_bytes());
  co_await or_return(check_tables());
  co_return co_await co_mark_snapshots();
}

/// The tables of snapshots are not to be overwritten either, as far as the options say so.
CoResult<> Image::co_mark_snapshots() {
  constexpr uint32_t kL1 = 1u << static_cast<unsigned>(Meta::kInactiveL1);
  constexpr uint32_t kL2 = 1u << static_cast<unsigned>(Meta::kInactiveL2);
  if (header_.snapshots == 0 || (options_.overlap_check & (kL1 | kL2)) == 0) co_return Result<>();
  const Result<std::vector<Snapshot>> all = co_await co_read_snapshots(*this);
  if (!all) co_return Result<>();  // whoever uses them will say what is wrong
  for (const Snapshot& s : *all) {
    if (into_cluster(s.l1_offset) != 0 || s.l1_entries > kMaxL1Bytes / 8) continue;
    const uint64_t bytes = uint64_t{s.l1_entries} * 8;
    if (bytes != 0 && meta_.count(s.l1_offset >> header_.cluster_bits) == 0)
      mark_meta(s.l1_offset, bytes, Meta::kInactiveL1);
    if ((options_.overlap_check & kL2) == 0) continue;
    std::vector<uint64_t> entries(s.l1_entries);
    co_await or_return(co_await co_read_entries(s.l1_offset, entries));
    for (const uint64_t e : entries) {
      const uint64_t table = e & kL1OffsetMask;
      if (table != 0 && meta_.count(table >> header_.cluster_bits) == 0)
        mark_meta(table, cluster_bytes(), Meta::kInactiveL2);
    }
  }
  co_return Result<>();
}

CoResult<> Image::co_read_entries(uint64_t offset, std::vector<uint64_t>& entries) {
  if (entries.empty()) co_return Result<>();
  const ByteRange range(offset, entries.size() * 8);
  if (range.end() > file_.node().total_bytes() && range.offset >= file_.node().total_bytes())
    co_return fail(EINVAL, "the table lies beyond the end of the file");
  const IoVector view(entries.data(), entries.size() * 8);
  co_await or_return(co_await file_.co_preadv(range, view));
  for (uint64_t& e : entries) e = byte_swapped(e);
  co_return Result<>();
}

/// Remembers what lies where. What is bent is left for the moment somebody follows it.
Result<> Image::check_tables() {
  mark_meta(0, cluster_bytes(), Meta::kHeader);
  mark_meta(header_.l1_offset, l1_.size() * 8, Meta::kActiveL1);
  mark_meta(header_.refcount_table_offset, refcount_table_.size() * 8, Meta::kRefcountTable);
  mark_meta(header_.snapshots_offset, header_.snapshots != 0 ? 1 : 0, Meta::kSnapshotTable);
  for (const uint64_t e : l1_)
    if ((e & kL1OffsetMask) != 0) mark_meta(e & kL1OffsetMask, cluster_bytes(), Meta::kActiveL2);
  for (const uint64_t e : refcount_table_)
    if ((e & kRefcountTableOffsetMask) != 0)
      mark_meta(e & kRefcountTableOffsetMask, cluster_bytes(), Meta::kRefcountBlock);
  return {};
}

void Image::mark_meta(uint64_t offset, uint64_t bytes, Meta what) {
  if (bytes == 0) return;
  for (uint64_t c = offset >> header_.cluster_bits; c <= (offset + bytes - 1) >> header_.cluster_bits; ++c)
    meta_.insert_or_assign(c, what);
}

void Image::unmark_meta(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) return;
  for (uint64_t c = offset >> header_.cluster_bits; c <= (offset + bytes - 1) >> header_.cluster_bits; ++c)
    meta_.erase(c);
}

const char* Image::meta_name(uint64_t cluster) const {
  static constexpr const char* kNames[] = {"qcow2_header",      "active L1 table",  "active L2 table",
                                           "refcount table",    "refcount block",   "snapshot table",
                                           "inactive L1 table", "bitmap directory", "inactive L2 table"};
  const auto it = meta_.find(cluster);
  if (it == meta_.end()) return nullptr;
  const auto what = static_cast<unsigned>(it->second);
  return (options_.overlap_check >> what & 1) != 0 ? kNames[what] : nullptr;
}

CoResult<> Image::co_close() {
  if (!writable_ || corrupt_) co_return Result<>();
  {
    std::lock_guard lock(mutex_);
    refcounts_lazy_ = false;  // now they are due
    if (!has_changes() && (header_.incompatible & kIncompatDirty) == 0) co_return Result<>();
  }
  co_await or_return(co_await co_checkpoint(true));
  // Giving back what the first one freed changed refcounts again.
  co_await or_return(co_await co_checkpoint(true));
  if ((header_.incompatible & kIncompatDirty) == 0) co_return Result<>();
  header_.incompatible &= ~kIncompatDirty;
  co_await or_return(co_await co_write_header());
  co_return co_await co_flush_children();
}

CoResult<> Image::co_settle() {
  bool lazy = false;
  {
    std::lock_guard lock(mutex_);
    lazy = refcounts_lazy_;
  }
  if (lazy) co_await or_return(co_await co_close());
  co_return Result<>();
}

CoResult<> Image::co_prepare_options(const ImageOptions& options, bool writable) {
  if (!writable_ || corrupt_) co_return Result<>();
  if (!writable || (options_.lazy_refcounts && !options.lazy_refcounts)) co_return co_await co_close();
  // Slices of another size, or fewer of them: the old ones go.
  co_await or_return(co_await co_checkpoint(true));
  co_return co_await co_checkpoint(true);
}

void Image::set_options(const ImageOptions& options, bool writable) {
  std::lock_guard lock(mutex_);
  const uint32_t slice = static_cast<uint32_t>(std::min<uint64_t>(cluster_bytes(), options.l2_slice_bytes));
  if (slice != l2_.slice_bytes()) l2_.clear();
  l2_.configure(options.l2_cache_bytes, slice);
  refcounts_.configure(options.refcount_cache_bytes, refcounts_.slice_bytes());
  options_ = options;
  writable_ = writable;
}

CoResult<> Image::co_before_linking() {
  if (!options_.lazy_refcounts || header_.has_incompatible(kIncompatDirty)) co_return Result<>();
  co_return co_await co_set_dirty_bit();
}

CoResult<> Image::co_flush_children() {
  if (data_) co_await or_return(co_await data_.co_flush());
  co_return co_await file_.co_flush();
}

CoResult<> Image::co_bring(Need need) {
  switch (need.kind) {
    case Need::Kind::kLoad:
      co_return co_await co_load(*need.cache, need.offset);
    case Need::Kind::kGrowRefcountTable:
      co_return co_await co_grow_refcount_table();
    case Need::Kind::kNewL2:
      co_return co_await co_new_l2(need.offset);
    case Need::Kind::kCorrupt: {
      co_await or_return(co_await co_mark_corrupt(need.error->message()));
      co_return Failure(std::move(*need.error));
    }
    case Need::Kind::kWait:
    case Need::Kind::kError:
      break;
  }
  co_return Failure(std::move(*need.error));
}

CoResult<> Image::co_load(TableCache& cache, uint64_t offset) {
  CoMutex& one_at_a_time = load_locks_[(offset / cache.slice_bytes()) % kLoadLocks];
  CoMutex::Guard guard = co_await one_at_a_time.co_lock();
  {
    std::lock_guard lock(mutex_);
    if (cache.find(offset) != nullptr) co_return Result<>();
  }
  auto data = std::make_shared<AlignedBuffer>();
  co_await or_return(data->allocate(std::max(cache.slice_bytes(), 512u), cache.slice_bytes()));
  co_await or_return(co_await co_event(&cache == &l2_ ? "l2_load" : "refblock_load"));
  const ByteRange range(offset, cache.slice_bytes());
  co_await or_return(co_await file_.co_preadv(range, data->iov(range.bytes)));
  std::lock_guard lock(mutex_);
  if (cache.find(offset) == nullptr) cache.insert(offset, std::move(data));
  co_return Result<>();
}

Need Image::bad_allocation(uint64_t offset, std::string_view what) {
  if (offset == 0) return corruption(str_cat("Preventing invalid allocation of ", what, " at offset 0"));
  const char* meta = meta_name(offset >> header_.cluster_bits);
  return corruption(
      str_cat("Preventing invalid write on metadata (overlaps with ", meta != nullptr ? meta : "?", ")"));
}

Need Image::corruption(std::string what) {
  Need need = Need::failed(Error(EIO, std::move(what)));
  need.kind = Need::Kind::kCorrupt;
  return need;
}

CoResult<> Image::co_mark_corrupt(std::string what) {
  CoMutex::Guard guard = co_await table_lock_.co_lock();
  bool said = false;
  {
    std::lock_guard lock(mutex_);
    said = std::exchange(corruption_reported_, true);
    if (corrupt_ || (!writable_ && said)) co_return Result<>();
    corrupt_ = writable_;
  }
  std::fprintf(stderr,
               writable_
                   ? "qcow2: Marking image as corrupt: %s; further corruption events will be suppressed\n"
                   : "qcow2: Image is corrupt: %s; further non-fatal corruption events will be suppressed\n",
               what.c_str());
  if (!writable_) co_return Result<>();
  if (header_.version < 3) co_return Result<>();
  {
    std::lock_guard lock(mutex_);
    header_.set_incompatible(kIncompatCorrupt);
  }
  co_await or_return(co_await co_write_header());
  co_return co_await file_.co_flush();
}

CoResult<> Image::co_write_header() {
  const Header now = header_copy();
  co_return co_await co_write_header(now);
}

CoResult<> Image::co_write_header(const Header& header) {
  std::vector<uint8_t> bytes = co_await or_return(serialize_header(header));
  // What an older, longer header left behind it must not be read as an extension.
  bytes.resize(std::min<uint64_t>(cluster_bytes(), (bytes.size() + 511) / 512 * 512));
  const IoVector view(bytes.data(), bytes.size());
  co_return co_await file_.co_pwritev(ByteRange(0, bytes.size()), view);
}

/// From here on refcounts may lag behind until close.
CoResult<> Image::co_set_dirty_bit() {
  CoMutex::Guard guard = co_await table_lock_.co_lock();
  if (header_.has_incompatible(kIncompatDirty)) co_return Result<>();
  // Whoever finds the bit set goes on: it is there only when the image has it.
  Header marked = header_copy();
  marked.incompatible |= kIncompatDirty;
  Result<> written = co_await co_write_header(marked);
  if (written) written = co_await file_.co_flush();
  if (!written) co_return written;
  std::lock_guard lock(mutex_);
  header_.set_incompatible(kIncompatDirty);
  refcounts_lazy_ = true;
  co_return Result<>();
}

/// A table of its own under an L1 entry: empty, or a copy of one that snapshots share.
CoResult<> Image::co_new_l2(uint64_t l1_index) {
  CoMutex::Guard guard = co_await table_lock_.co_lock();
  uint64_t old = 0;
  {
    std::lock_guard lock(mutex_);
    if ((l1_[l1_index] & kCopied) != 0) co_return Result<>();
    old = l1_[l1_index] & kL1OffsetMask;
  }
  auto claim_one = [&] { return allocate(1, "L2 table"); };
  guard.release();  // growing the refcount table takes it too
  const Run run = co_await or_return(co_await co_step<Run>(claim_one));
  guard = co_await table_lock_.co_lock();
  const ByteRange place(run.offset, cluster_bytes());
  Result<> filled;
  if (old != 0) {
    AlignedBuffer table;
    filled = table.allocate(4096, cluster_bytes());
    if (filled)
      filled = co_await file_.co_preadv(ByteRange(old, cluster_bytes()), table.iov(cluster_bytes()));
    if (filled) filled = co_await file_.co_pwritev(place, table.iov(cluster_bytes()));
  } else if (run.fresh) {
    // Only the file's length has to reach this far.
    uint8_t zero[512] = {};
    const IoVector last(zero, sizeof zero);
    filled = co_await file_.co_pwritev(ByteRange(place.end() - sizeof zero, sizeof zero), last);
  } else {
    filled = co_await file_.co_pwrite_zeroes(place, false);
  }
  std::lock_guard lock(mutex_);
  if (!filled || (l1_[l1_index] & kCopied) != 0) {
    free_later(run.offset, cluster_bytes(), FreeReason::kNever);
    co_return filled;
  }
  for (uint64_t at = place.offset; at < place.end(); at += l2_.slice_bytes()) l2_.drop(at);
  l1_[l1_index] = run.offset | kCopied;
  l1_changed(l1_index);
  mark_meta(run.offset, cluster_bytes(), Meta::kActiveL2);
  if (old != 0) {
    unmark_meta(old, cluster_bytes());
    free_later(old, cluster_bytes(), FreeReason::kOther);
  }
  co_return Result<>();
}

/// A longer L1 table for `entries`; the header names it when it is complete.
CoResult<> Image::co_grow_l1(uint64_t entries) {
  if (entries <= l1_.size()) co_return Result<>();
  if (entries * 8 > kMaxL1Bytes) co_return fail(EFBIG, "L1 size too big");
  co_await or_return(co_await co_checkpoint(true));
  const uint64_t bytes = cluster_ceil(entries * 8);
  auto claim_table = [&] { return allocate_contiguous(bytes >> header_.cluster_bits); };
  const Run run = co_await or_return(co_await co_step<Run>(claim_table));
  co_await or_return(co_await co_checkpoint(true));
  std::vector<uint64_t> bigger = l1_;
  bigger.resize(bytes / 8);
  const std::vector<bool> all(bigger.size() / kSectorEntries + 1, true);
  Result<> written = co_await co_write_table(run.offset, bigger, all);
  if (written) written = co_await file_.co_flush();
  const uint64_t offset_before = header_.l1_offset;
  const uint32_t entries_before = header_.l1_entries;
  if (written) {
    header_.l1_offset = run.offset;
    header_.l1_entries = static_cast<uint32_t>(entries);
    written = co_await co_write_header();
    if (written) written = co_await file_.co_flush();
  }
  std::lock_guard lock(mutex_);
  if (!written) {
    header_.l1_offset = offset_before;
    header_.l1_entries = entries_before;
    free_later(run.offset, bytes, FreeReason::kNever);
    co_return written;
  }
  unmark_meta(offset_before, l1_.size() * 8);
  free_later(offset_before, cluster_ceil(l1_.size() * 8), FreeReason::kOther);
  l1_.resize(entries);
  l1_dirty_.assign(l1_.size() / kSectorEntries + 1, false);
  mark_meta(run.offset, bytes, Meta::kActiveL1);
  co_return Result<>();
}

}  // namespace rhea::qcow2
