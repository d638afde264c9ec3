// Changing what an image is: version, width of its refcounts, lazy refcounts, size.
#include <algorithm>
#include <bit>
#include <unordered_set>

#include "block/drivers/qcow2/node.h"
#include "block/drivers/qcow2/snapshot.h"
#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

namespace {

/// What the options ask for; absent: as it is.
struct Amendment {
  std::optional<uint32_t> version;
  std::optional<uint64_t> refcount_bits, bytes;
  std::optional<bool> lazy_refcounts, data_file_raw;
  std::optional<std::string> backing_file, backing_format, data_file;
};

Result<Amendment> take_amendment(OptionTree& options) {
  Amendment a;
  if (const auto compat = TRY(options.take_string("compat")); compat && !compat->empty()) {
    if (*compat == "0.10" || *compat == "v2")
      a.version = 2;
    else if (*compat == "1.1" || *compat == "v3")
      a.version = 3;
    else
      return fail(EINVAL, "Unknown compatibility level ", *compat);
  }
  a.bytes = TRY(options.take_size("size"));
  a.backing_file = TRY(options.take_string("backing_file"));
  a.backing_format = TRY(options.take_string("backing_fmt"));
  a.lazy_refcounts = TRY(options.take_bool("lazy_refcounts"));
  a.data_file = TRY(options.take_string("data_file"));
  a.data_file_raw = TRY(options.take_bool("data_file_raw"));
  a.refcount_bits = TRY(options.take_number("refcount_bits"));
  if (a.refcount_bits && (*a.refcount_bits > 64 || !std::has_single_bit(*a.refcount_bits)))
    return fail(EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
  return a;
}

}  // namespace

/// Counts of another width lie in a table of their own, behind everything; the header names it when it is
/// complete. Nothing is in flight.
CoResult<> Image::co_change_refcount_width(uint32_t order) {
  co_await or_return(co_await co_checkpoint(true));
  co_await or_return(co_await co_checkpoint(true));
  const uint64_t size = cluster_bytes(), per_block = (size * 8) >> order, per_table = size / 8;
  const uint64_t most = order == 6 ? UINT64_MAX : (uint64_t{1} << (1u << order)) - 1;
  const uint64_t covered = refcount_table_.size() * header_.refcounts_per_block();
  uint64_t used = 0;
  std::vector<std::pair<uint64_t, uint64_t>> counts;  // of clusters that have any
  for (uint64_t c = 0; c < covered; ++c) {
    if (refcount_table_[c / header_.refcounts_per_block()] == 0) {
      c += header_.refcounts_per_block() - c % header_.refcounts_per_block() - 1;
      continue;
    }
    auto look = [&] { return refcount(c); };
    const uint64_t n = co_await or_return(co_await co_step<uint64_t>(look));
    if (n == 0) continue;
    if (n > most)
      co_return fail(EINVAL, "Cannot decrease refcount entry width to ", uint64_t{1} << order,
                     " bits: Cluster at offset 0x", hex(c * size), " has a refcount of ", n);
    used = c + 1;
    counts.emplace_back(c, n);
  }
  std::unordered_set<uint64_t> old;  // the present table and its blocks end with it
  for (uint64_t i = 0; i < header_.refcount_table_clusters; ++i)
    old.insert((header_.refcount_table_offset >> header_.cluster_bits) + i);
  for (const uint64_t e : refcount_table_)
    if ((e & kRefcountTableOffsetMask) != 0)
      old.insert((e & kRefcountTableOffsetMask) >> header_.cluster_bits);
  uint64_t blocks = 1, tables = 1;
  for (;;) {
    const uint64_t need_blocks = (used + blocks + tables + per_block - 1) / per_block;
    const uint64_t need_tables = (need_blocks + per_table - 1) / per_table;
    if (need_blocks <= blocks && need_tables <= tables) break;
    blocks = std::max(blocks, need_blocks);
    tables = std::max(tables, need_tables);
  }
  if (tables * size > kMaxRefcountTableBytes)
    co_return fail(EFBIG, "The image's refcount table would become too large");
  std::vector<uint64_t> table(tables * per_table);
  auto next = counts.begin();
  for (uint64_t b = 0; b < blocks; ++b) {
    AlignedBuffer block;
    co_await or_return(block.allocate(4096, size));
    std::memset(block.data(), 0, size);
    for (; next != counts.end() && next->first < (b + 1) * per_block; ++next)
      if (!old.contains(next->first))
        set_refcount(block.data(), next->first % per_block, order, next->second);
    for (uint64_t c = std::max(used, b * per_block);
         c < std::min(used + blocks + tables, (b + 1) * per_block); ++c)
      set_refcount(block.data(), c % per_block, order, 1);
    table[b] = (used + b) * size;
    co_await or_return(co_await file_.co_pwritev(ByteRange(table[b], size), block.iov(size)));
  }
  const uint64_t table_at = (used + blocks) * size;
  std::vector<bool> all(table.size() / kSectorEntries + 1, true);
  co_await or_return(co_await co_write_table(table_at, table, std::move(all)));
  co_await or_return(co_await file_.co_flush());
  const Header before = header_;
  header_.refcount_table_offset = table_at;
  header_.refcount_table_clusters = static_cast<uint32_t>(tables);
  header_.refcount_order = order;
  Result<> written = co_await co_write_header();
  if (written) written = co_await file_.co_flush();
  if (!written) {
    header_ = before;
    co_return written;
  }
  std::lock_guard lock(mutex_);
  for (const uint64_t c : old) meta_.erase(c);
  refcounts_.clear();
  refcount_table_ = std::move(table);
  refcount_table_dirty_.assign(refcount_table_.size() / kSectorEntries + 1, false);
  mark_meta(table_at, tables * size, Meta::kRefcountTable);
  mark_meta(used * size, blocks * size, Meta::kRefcountBlock);
  free_hint_ = open_bytes_ = 0;
  fresh_from_ = std::max(fresh_from_, table_at + tables * size);
  co_return Result<>();
}

/// A cluster that reads as zeroes without a flag that says so; version 2 has none. What comes of an entry of
/// the L2 table that `owners` tables refer to. `gone` gets the clusters that lose references once the table
/// is written.
CoResult<uint64_t> Image::co_without_zero_flag(uint64_t entry, uint64_t owners, bool has_backing,
                                               std::vector<uint64_t>& gone) {
  const uint64_t size = cluster_bytes(), host = entry & kL2OffsetMask;
  bool own = false;
  if (host != 0) {
    auto look = [&] { return refcount(host >> header_.cluster_bits); };
    own = co_await or_return(co_await co_step<uint64_t>(look)) <= owners;
    if (!own) gone.push_back(host);
  }
  if (host == 0 && !has_backing) co_return uint64_t{0};
  uint64_t place = host;
  if (!own) {
    auto claim_one = [&] { return allocate(1); };
    place = (co_await or_return(co_await co_step<Run>(claim_one))).offset;
    auto share = [&] { return add_reference(place, size); };
    for (uint64_t i = 1; i < owners; ++i) co_await or_return(co_await co_step<void>(share));
  }
  co_await or_return(co_await file_.co_pwrite_zeroes(ByteRange(place, size), false));
  co_return place | (owners == 1 ? kCopied : 0);
}

/// Rids all L2 tables, those of snapshots too, of zero flags. Nothing is in flight.
CoResult<> Image::co_expand_zero_clusters(bool has_backing) {
  std::vector<std::vector<uint64_t>> trees{l1_};
  for (const Snapshot& s : co_await or_return(co_await co_read_snapshots(*this))) {
    std::vector<uint64_t> l1(s.l1_entries);
    co_await or_return(co_await co_read_entries(s.l1_offset, l1));
    trees.push_back(std::move(l1));
  }
  std::unordered_set<uint64_t> seen;
  for (const std::vector<uint64_t>& l1 : trees) {
    for (const uint64_t e : l1) {
      const uint64_t table = e & kL1OffsetMask;
      if (table == 0 || !seen.insert(table).second) continue;
      if (into_cluster(table) != 0) co_return fail(EIO, "An L2 table of the image is not aligned");
      auto look = [&] { return refcount(table >> header_.cluster_bits); };
      const uint64_t owners = co_await or_return(co_await co_step<uint64_t>(look));
      std::vector<uint64_t> entries(header_.l2_entries());
      co_await or_return(co_await co_read_entries(table, entries));
      bool changed = false;
      std::vector<uint64_t> gone;
      for (uint64_t& entry : entries) {
        if ((entry & kCompressed) != 0 || (entry & kZero) == 0) continue;
        entry = co_await or_return(co_await co_without_zero_flag(entry, owners, has_backing, gone));
        changed = true;
      }
      if (!changed) continue;
      // The zeroes and the counts of their clusters come first.
      co_await or_return(co_await co_checkpoint(true));
      std::vector<bool> all(entries.size() / kSectorEntries + 1, true);
      co_await or_return(co_await co_write_table(table, entries, std::move(all)));
      std::lock_guard lock(mutex_);
      for (const uint64_t host : gone)
        for (uint64_t i = 0; i < owners; ++i) free_later(host, cluster_bytes(), FreeReason::kOther);
    }
  }
  co_await or_return(co_await file_.co_flush());
  {
    std::lock_guard lock(mutex_);
    drop_l2_cache();
  }
  co_await or_return(co_await co_checkpoint(true));
  co_return co_await co_checkpoint(true);
}

/// Version 3 becomes version 2.
CoResult<> Qcow2Node::co_downgrade() {
  Header& h = image_.header();
  if (h.refcount_order != 4) co_return fail(ENOTSUP, "compat=0.10 requires refcount_bits=16");
  if (h.has_data_file()) co_return fail(ENOTSUP, "Cannot downgrade an image with a data file");
  if (h.bitmaps || !persistent_bitmaps().empty())
    co_return fail(ENOTSUP, "Cannot downgrade an image with bitmaps");
  for (const Snapshot& s : co_await or_return(co_await co_read_snapshots(image_)))
    if (s.vm_state_bytes != 0 || s.disk_bytes != h.virtual_bytes)
      co_return fail(ENOTSUP, "Internal snapshots prevent downgrade of image");
  if (const uint64_t bits = h.incompatible & ~kIncompatDirty; bits != 0)
    co_return fail(ENOTSUP, "Cannot downgrade an image with incompatible features 0x", hex(bits), " set");
  co_await or_return(co_await image_.co_close());
  co_await or_return(co_await image_.co_expand_zero_clusters(static_cast<bool>(backing_)));
  const Header before = h;
  h.version = 2;
  h.incompatible = h.compatible = h.autoclear = 0;
  h.header_bytes = kHeaderBytesV2;
  Result<> written = co_await image_.co_write_header();
  if (!written) h = before;
  co_return written;
}

CoResult<> Qcow2Node::co_amend(OptionTree& options) {
  const Amendment a = co_await or_return(take_amendment(options));
  Header& h = image_.header();
  const uint32_t version = a.version.value_or(h.version);
  if (a.data_file && !h.has_data_file())
    co_return fail(EINVAL, "data-file can only be set for images that use an external data file");
  if (a.data_file_raw == true && (h.autoclear & kAutoclearRawDataFile) == 0)
    co_return fail(EINVAL, "data-file-raw cannot be set on existing images");
  if (version > h.version) {
    if (h.snapshots != 0) co_await or_return(co_await co_rewrite_snapshots(image_));
    const Header before = h;
    h.version = version;
    h.header_bytes = kHeaderBytesOwn;
    Result<> written = co_await image_.co_write_header();
    if (!written) {
      h = before;
      co_return Failure(std::move(written).error().prepend("Failed to update the image header: "));
    }
  }
  if (a.refcount_bits && *a.refcount_bits != uint64_t{1} << h.refcount_order) {
    if (version < 3)
      co_return fail(
          EINVAL,
          "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 "
          "or greater)");
    co_await or_return(
        co_await image_.co_change_refcount_width(static_cast<uint32_t>(std::countr_zero(*a.refcount_bits))));
  }
  if (a.data_file || a.data_file_raw) {
    const Header before = h;
    if (a.data_file) h.data_file = *a.data_file;
    if (a.data_file_raw == false) h.autoclear &= ~kAutoclearRawDataFile;
    Result<> written = co_await image_.co_write_header();
    if (!written) {
      h = before;
      co_return written;
    }
  }
  if ((a.backing_file && *a.backing_file != h.backing_file) ||
      (a.backing_format && *a.backing_format != h.backing_format))
    co_return Failure(
        Error(EINVAL, "Cannot amend the backing file").with_hint("You can use 'qemu-img rebase' instead."));
  const bool lazy = (h.compatible & kCompatLazyRefcounts) != 0;
  if (a.lazy_refcounts && *a.lazy_refcounts != lazy) {
    if (*a.lazy_refcounts && version < 3)
      co_return fail(
          EINVAL,
          "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
    if (!*a.lazy_refcounts) co_await or_return(co_await image_.co_settle());
    h.compatible ^= kCompatLazyRefcounts;
    Result<> written = co_await image_.co_write_header();
    if (!written) {
      h.compatible ^= kCompatLazyRefcounts;
      co_return Failure(std::move(written).error().prepend("Failed to update the image header: "));
    }
    ImageOptions now = image_.options();
    now.lazy_refcounts = *a.lazy_refcounts;
    image_.set_options(now, true);
  }
  if (a.bytes && *a.bytes != h.virtual_bytes) {
    co_await or_return(co_await co_truncate(*a.bytes, Preallocation::kOff));
    co_await or_return(co_await co_refresh_length());
  }
  if (version < h.version) co_await or_return(co_await co_downgrade());
  co_return co_await image_.co_flush_children();
}

}  // namespace rhea::qcow2
