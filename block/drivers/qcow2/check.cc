#include "block/drivers/qcow2/check.h"

#include <algorithm>
#include <map>

#include "block/drivers/qcow2/snapshot.h"
#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

namespace {

/// References by cluster; takes memory only where there are any.
class Counts {
 public:
  uint64_t get(uint64_t cluster) const {
    const auto it = pages_.find(cluster / kPage);
    return it == pages_.end() ? 0 : it->second[cluster % kPage];
  }
  void add(uint64_t cluster) {
    std::vector<uint32_t>& page = pages_[cluster / kPage];
    if (page.empty()) page.resize(kPage);
    ++page[cluster % kPage];
    end_ = std::max(end_, cluster + 1);
  }
  uint64_t end() const { return end_; }

 private:
  static constexpr uint64_t kPage = 4096;
  std::map<uint64_t, std::vector<uint32_t>> pages_;
  uint64_t end_ = 0;
};

}  // namespace

class Checker {
 public:
  Checker(Image& image, CheckOptions options)
      : image_(image),
        h_(image.header_),
        options_(std::move(options)),
        file_bytes_(image.file_.node().total_bytes()) {}
  CoResult<CheckResult> co_run();

 private:
  template <class... A>
  void say(const A&... pieces) {
    if (options_.report) options_.report(str_cat(pieces...));
  }
  void corrupt() { ++result_.corruptions; }
  uint64_t refcount_on_disk(uint64_t cluster) const;
  bool count(uint64_t offset, uint64_t bytes);
  CoResult<> co_count_tree(const std::vector<uint64_t>& l1, bool active);
  CoResult<> co_count_l2(uint64_t l1_index, uint64_t table, bool active);
  void count_entry(uint64_t guest, uint64_t entry, uint64_t bitmap, bool active);
  CoResult<> co_count_snapshots();
  CoResult<> co_count_tables();
  CoResult<> co_count_bitmaps();
  CoResult<> co_read_refcounts();
  CoResult<> co_compare();
  bool flag_fits(uint64_t cluster, bool copied) const;
  CoResult<> co_check_copied();
  CoResult<> co_check_copied_l2(uint64_t table, bool fix);
  CoResult<> co_set_refcount(uint64_t cluster, uint64_t value);
  CoResult<> co_write_block(uint64_t index);
  CoResult<> co_rebuild();
  CoResult<> co_fix();
  CoResult<> co_read_table(uint64_t offset, std::vector<uint64_t>& entries);

  Image& image_;
  Header& h_;
  CheckOptions options_;
  CheckResult result_;
  uint64_t file_bytes_;
  Counts counts_;
  std::vector<std::vector<uint8_t>> blocks_;  ///< refcount blocks by index; empty: there is none
  std::vector<bool> block_changed_;
  bool structure_broken_ = false;  ///< the refcount blocks themselves cannot be used
  uint64_t last_host_ = 0;
};

CoResult<> Checker::co_read_table(uint64_t offset, std::vector<uint64_t>& entries) {
  const IoVector view(entries.data(), entries.size() * 8);
  co_await or_return(co_await image_.file_.co_preadv(ByteRange(offset, entries.size() * 8), view));
  for (uint64_t& e : entries) e = byte_swapped(e);
  co_return Result<>();
}

/// One reference to each cluster of the range. False if it lies outside the file.
bool Checker::count(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) return true;
  const uint64_t size = h_.cluster_bytes();
  if (offset > file_bytes_ || bytes > INT64_MAX - offset ||
      offset + bytes > image_.cluster_ceil(file_bytes_) + size) {
    say("ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset "
        "0x",
        hex(offset), " size 0x", hex(bytes));
    corrupt();
    return false;
  }
  for (uint64_t c = offset / size; c <= (offset + bytes - 1) / size; ++c) counts_.add(c);
  return true;
}

void Checker::count_entry(uint64_t guest, uint64_t entry, uint64_t bitmap, bool active) {
  const uint64_t size = h_.cluster_bytes();
  if ((entry & kCompressed) != 0) {
    if ((entry & kCopied) != 0) {
      say("ERROR: coffset=0x", hex(entry & kL2OffsetMask),
          ": copied flag must never be set for compressed clusters");
      corrupt();
    }
    const CompressedExtent e = compressed_extent(entry, h_.cluster_bits);
    count(e.offset & ~uint64_t{511}, e.bytes + (e.offset & 511));
    if (active) {
      ++result_.allocated_clusters;
      ++result_.compressed_clusters;
      ++result_.fragmented_clusters;
    }
    return;
  }
  const uint64_t host = entry & kL2OffsetMask;
  if ((entry & kL2ReservedMask) != 0 || (h_.extended_l2() && (entry & kZero) != 0)) {
    say("ERROR found l2 entry with reserved bits set: ", hex(entry));
    corrupt();
  }
  if (h_.extended_l2() && ((bitmap >> 32) & bitmap & 0xffffffff) != 0) {
    say("ERROR offset=", hex(host), ": Allocated subclusters have zero bits; L2 entry corrupted.");
    corrupt();
  }
  if (host == 0) return;
  if ((host & (size - 1)) != 0) {
    say("ERROR offset=", hex(host), ": Cluster is not properly aligned; L2 entry corrupted.");
    corrupt();
    return;
  }
  if (h_.has_data_file()) return;
  const bool reads_data = h_.extended_l2() ? (bitmap & 0xffffffff) != 0 : (entry & kZero) == 0;
  if (active && reads_data) {
    ++result_.allocated_clusters;
    if (last_host_ != 0 && last_host_ + size != host) ++result_.fragmented_clusters;
    last_host_ = host;
  }
  std::ignore = guest;
  count(host, size);
}

CoResult<> Checker::co_count_l2(uint64_t l1_index, uint64_t table, bool active) {
  std::vector<uint64_t> entries(h_.cluster_bytes() / 8);
  Result<> read = co_await co_read_table(table, entries);
  if (!read) {
    say("ERROR: I/O error in check_refcounts_l2");
    ++result_.check_errors;
    co_return Result<>();
  }
  const size_t step = h_.l2_entry_bytes() / 8;
  for (size_t i = 0; i < entries.size(); i += step) {
    const uint64_t guest = (l1_index * h_.l2_entries() + i / step) << h_.cluster_bits;
    count_entry(guest, entries[i], step == 2 ? entries[i + 1] : 0, active);
  }
  co_return Result<>();
}

CoResult<> Checker::co_count_tree(const std::vector<uint64_t>& l1, bool active) {
  for (size_t i = 0; i < l1.size(); ++i) {
    const uint64_t table = l1[i] & kL1OffsetMask;
    if ((l1[i] & kL1ReservedMask) != 0) {
      say("ERROR found L1 entry with reserved bits set: ", hex(l1[i]));
      corrupt();
    }
    if (table == 0) continue;
    if ((table & (h_.cluster_bytes() - 1)) != 0) {
      say("ERROR l2_offset=", hex(table), ": Table is not cluster aligned; L1 entry corrupted");
      corrupt();
      continue;
    }
    if (!count(table, h_.cluster_bytes())) continue;
    co_await or_return(co_await co_count_l2(i, table, active));
  }
  co_return Result<>();
}

CoResult<> Checker::co_count_snapshots() {
  if (h_.snapshots == 0) co_return Result<>();
  Result<std::vector<Snapshot>> all = co_await co_read_snapshots(image_);
  if (!all) {
    say("ERROR ", all.error().message());
    corrupt();
    co_return Result<>();
  }
  uint64_t table_bytes = 0;
  for (const Snapshot& s : *all) {
    const uint64_t extra = 24 + s.unknown_extra.size();
    table_bytes = (table_bytes + 40 + extra + s.id.size() + s.name.size() + 7) & ~uint64_t{7};
    if ((s.l1_offset & (h_.cluster_bytes() - 1)) != 0 || uint64_t{s.l1_entries} * 8 > kMaxL1Bytes) {
      say("ERROR snapshot ", s.id, " (", s.name, ") l1_offset=", hex(s.l1_offset),
          ": L1 table is not cluster aligned; snapshot table entry corrupted");
      corrupt();
      continue;
    }
    if (!count(s.l1_offset, uint64_t{s.l1_entries} * 8)) continue;
    std::vector<uint64_t> l1(s.l1_entries);
    if (!co_await co_read_table(s.l1_offset, l1)) {
      ++result_.check_errors;
      continue;
    }
    co_await or_return(co_await co_count_tree(l1, false));
  }
  count(h_.snapshots_offset, table_bytes);
  co_return Result<>();
}

/// The bitmap directory, each bitmap's table, and their data.
CoResult<> Checker::co_count_bitmaps() {
  if (!h_.bitmaps) co_return Result<>();
  const BitmapsExtension& e = *h_.bitmaps;
  constexpr uint64_t kMaxDirectory = uint64_t{65535} * 2048;
  if (e.directory_bytes > kMaxDirectory || !count(e.directory_offset, e.directory_bytes))
    co_return Result<>();
  std::vector<uint8_t> directory(e.directory_bytes);
  const IoVector view(directory.data(), directory.size());
  if (!co_await image_.file_.co_preadv(ByteRange(e.directory_offset, e.directory_bytes), view)) {
    ++result_.check_errors;
    co_return Result<>();
  }
  constexpr size_t kEntryBytes = 24;
  for (size_t at = 0; at + kEntryBytes <= directory.size();) {
    const auto table = load_be<uint64_t>(&directory[at]);
    const auto entries = load_be<uint32_t>(&directory[at + 8]);
    const auto name = load_be<uint16_t>(&directory[at + 18]);
    const auto extra = load_be<uint32_t>(&directory[at + 20]);
    at = (at + kEntryBytes + name + extra + 7) & ~size_t{7};
    constexpr uint32_t kMostEntries = 0x8000000;
    if (entries > kMostEntries || !count(table, uint64_t{entries} * 8)) continue;
    std::vector<uint64_t> places(entries);
    if (!co_await co_read_table(table, places)) {
      ++result_.check_errors;
      continue;
    }
    for (const uint64_t p : places)
      if ((p & kL2OffsetMask) != 0) count(p & kL2OffsetMask, h_.cluster_bytes());
  }
  co_return Result<>();
}

CoResult<> Checker::co_read_refcounts() {
  blocks_.resize(image_.refcount_table_.size());
  block_changed_.assign(blocks_.size(), false);
  for (size_t i = 0; i < image_.refcount_table_.size(); ++i) {
    const uint64_t at = image_.refcount_table_[i] & kRefcountTableOffsetMask;
    if (at == 0) continue;
    if ((at & (h_.cluster_bytes() - 1)) != 0) {
      say("ERROR refcount block ", i, " is not cluster aligned; refcount table entry corrupted");
      corrupt();
      structure_broken_ = true;
      continue;
    }
    if (at >= file_bytes_) {
      say("ERROR refcount block ", i, " is outside image");
      corrupt();
      structure_broken_ = true;
      continue;
    }
    count(at, h_.cluster_bytes());
    blocks_[i].resize(h_.cluster_bytes());
    const IoVector view(blocks_[i].data(), blocks_[i].size());
    if (!co_await image_.file_.co_preadv(ByteRange(at, blocks_[i].size()), view)) ++result_.check_errors;
  }
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const uint64_t at = image_.refcount_table_[i] & kRefcountTableOffsetMask;
    if (blocks_[i].empty() || counts_.get(at >> h_.cluster_bits) == 1) continue;
    say("ERROR refcount block ", i, " refcount=", counts_.get(at >> h_.cluster_bits));
    corrupt();
    structure_broken_ = true;
  }
  co_return Result<>();
}

uint64_t Checker::refcount_on_disk(uint64_t cluster) const {
  const uint64_t block = cluster / h_.refcounts_per_block();
  if (block >= blocks_.size() || blocks_[block].empty()) return 0;
  return get_refcount(blocks_[block].data(), cluster % h_.refcounts_per_block(), h_.refcount_order);
}

CoResult<> Checker::co_compare() {
  const uint64_t covered = uint64_t{blocks_.size()} * h_.refcounts_per_block();
  uint64_t end = std::max(counts_.end(), (file_bytes_ + h_.cluster_bytes() - 1) >> h_.cluster_bits);
  end = std::min(std::max(end, counts_.end()), std::max(covered, counts_.end()));
  for (uint64_t c = 0; c < end; ++c) {
    const uint64_t on_disk = refcount_on_disk(c), real = counts_.get(c);
    if (real != 0) result_.image_end_offset = (c + 1) << h_.cluster_bits;
    if (on_disk == real) continue;
    const bool leak = on_disk > real;
    const bool fix = leak ? options_.fix_leaks : options_.fix_errors;
    const bool possible = c < covered && !blocks_[c / h_.refcounts_per_block()].empty() && !structure_broken_;
    say(fix && possible ? "Repairing"
        : leak          ? "Leaked"
                        : "ERROR",
        " cluster ", c, " refcount=", on_disk, " reference=", real);
    if (on_disk == 0 && real != 0 && !possible) structure_broken_ = true;
    if (fix && possible) {
      uint8_t* block = blocks_[c / h_.refcounts_per_block()].data();
      set_refcount(block, c % h_.refcounts_per_block(), h_.refcount_order, real);
      block_changed_[c / h_.refcounts_per_block()] = true;
      ++(leak ? result_.leaks_fixed : result_.corruptions_fixed);
    } else {
      ++(leak ? result_.leaks : result_.corruptions);
    }
  }
  co_return Result<>();
}

/// A flag that is right for the references there are waits for no more than the repair of a leak.
bool Checker::flag_fits(uint64_t cluster, bool copied) const {
  const uint64_t n = refcount_on_disk(cluster), real = counts_.get(cluster);
  return (n == 1) == copied || (n > real && (real == 1) == copied);
}

CoResult<> Checker::co_check_copied_l2(uint64_t table, bool fix) {
  std::vector<uint64_t> entries(h_.cluster_bytes() / 8);
  if (!co_await co_read_table(table, entries)) co_return Result<>();
  bool changed = false;
  for (size_t i = 0; i < entries.size(); i += h_.l2_entry_bytes() / 8) {
    uint64_t& e = entries[i];
    const uint64_t host = e & kL2OffsetMask;
    if ((e & kCompressed) != 0 || host == 0 || (host & (h_.cluster_bytes() - 1)) != 0 || h_.has_data_file())
      continue;
    const uint64_t n = refcount_on_disk(host >> h_.cluster_bits);
    if (flag_fits(host >> h_.cluster_bits, (e & kCopied) != 0)) continue;
    say(fix ? "Repairing" : "ERROR", " OFLAG_COPIED data cluster: l2_entry=", hex(e), " refcount=", n);
    ++(fix ? result_.corruptions_fixed : result_.corruptions);
    if (!fix) continue;
    e ^= kCopied;
    changed = true;
  }
  if (!changed) co_return Result<>();
  for (uint64_t& e : entries) e = byte_swapped(e);
  const IoVector view(entries.data(), h_.cluster_bytes());
  co_return co_await image_.file_.co_pwritev(ByteRange(table, h_.cluster_bytes()), view);
}

CoResult<> Checker::co_check_copied() {
  // Flags that only lag behind counts that were just put right go with them.
  const bool fix =
      options_.fix_errors || (options_.fix_leaks && result_.leaks_fixed != 0 && result_.corruptions == 0);
  for (size_t i = 0; i < image_.l1_.size(); ++i) {
    uint64_t& e = image_.l1_[i];
    const uint64_t table = e & kL1OffsetMask;
    if (table == 0 || (table & (h_.cluster_bytes() - 1)) != 0 || table >= file_bytes_) continue;
    const uint64_t n = refcount_on_disk(table >> h_.cluster_bits);
    if (!flag_fits(table >> h_.cluster_bits, (e & kCopied) != 0)) {
      say(fix ? "Repairing" : "ERROR", " OFLAG_COPIED L2 cluster: l1_index=", i, " l1_entry=", hex(e),
          " refcount=", n);
      ++(fix ? result_.corruptions_fixed : result_.corruptions);
      if (fix) {
        e ^= kCopied;
        image_.l1_changed(i);
      }
    }
    co_await or_return(co_await co_check_copied_l2(table, fix));
  }
  co_return Result<>();
}

CoResult<> Checker::co_write_block(uint64_t index) {
  const IoVector view(blocks_[index].data(), blocks_[index].size());
  const uint64_t at = image_.refcount_table_[index] & kRefcountTableOffsetMask;
  co_return co_await image_.file_.co_pwritev(ByteRange(at, blocks_[index].size()), view);
}

/// New blocks and a new table behind everything that is in use; the header names them when they are complete.
CoResult<> Checker::co_rebuild() {
  say("Rebuilding refcount structure");
  const uint64_t size = h_.cluster_bytes(), per_block = h_.refcounts_per_block(), per_table = size / 8;
  Counts fresh;
  const uint64_t used = std::max(counts_.end(), uint64_t{1});
  uint64_t blocks = 0, tables = 1;
  for (;;) {
    const uint64_t all = used + blocks + tables;
    const uint64_t need_blocks = (all + per_block - 1) / per_block,
                   need_tables = (need_blocks + per_table - 1) / per_table;
    if (need_blocks <= blocks && need_tables <= tables) break;
    blocks = std::max(blocks, need_blocks);
    tables = std::max(tables, need_tables);
  }
  if (tables * size > kMaxRefcountTableBytes) co_return fail(EFBIG, "The refcount table would be too large");
  const uint64_t old_table = h_.refcount_table_offset >> h_.cluster_bits,
                 old_clusters = h_.refcount_table_clusters;
  std::vector<uint64_t> table(tables * per_table);
  for (uint64_t b = 0; b < blocks; ++b) {
    std::vector<uint8_t> block(size);
    for (uint64_t i = 0; i < per_block; ++i) {
      const uint64_t c = b * per_block + i;
      uint64_t n = c >= used ? (c < used + blocks + tables ? 1 : 0) : counts_.get(c);
      // What the old table and its blocks counted for themselves ends with them.
      if (n != 0 && c >= old_table && c < old_table + old_clusters) --n;
      if (n != 0 &&
          std::ranges::find(image_.refcount_table_, c << h_.cluster_bits) != image_.refcount_table_.end())
        --n;
      if (n > h_.max_refcount()) co_return fail(EINVAL, "A refcount is larger than the image's width allows");
      if (n != 0) set_refcount(block.data(), i, h_.refcount_order, n);
    }
    table[b] = (used + b) << h_.cluster_bits;
    const IoVector view(block.data(), size);
    co_await or_return(co_await image_.file_.co_pwritev(ByteRange(table[b], size), view));
  }
  const uint64_t table_at = (used + blocks) << h_.cluster_bits;
  std::vector<bool> all(table.size() / 64 + 1, true);
  co_await or_return(co_await image_.co_write_table(table_at, table, std::move(all)));
  co_await or_return(co_await image_.file_.co_flush());
  h_.refcount_table_offset = table_at;
  h_.refcount_table_clusters = static_cast<uint32_t>(tables);
  co_await or_return(co_await image_.co_write_header());
  image_.refcount_table_ = std::move(table);
  image_.refcount_table_dirty_.assign(image_.refcount_table_.size() / 64 + 1, false);
  co_return co_await image_.file_.co_flush();
}

CoResult<> Checker::co_fix() {
  bool wrote = false;
  for (uint64_t b = 0; b < blocks_.size(); ++b) {
    if (!block_changed_[b]) continue;
    co_await or_return(co_await co_write_block(b));
    wrote = true;
  }
  if (wrote) co_await or_return(co_await image_.file_.co_flush());
  image_.refcounts_.clear();
  image_.l2_.clear();
  image_.free_hint_ = 0;
  co_return Result<>();
}

CoResult<CheckResult> Checker::co_run() {
  result_.total_clusters = (h_.virtual_bytes + h_.cluster_bytes() - 1) >> h_.cluster_bits;
  count(0, h_.cluster_bytes());
  count(h_.l1_offset, uint64_t{h_.l1_entries} * 8);
  co_await or_return(co_await co_count_tree(image_.l1_, true));
  co_await or_return(co_await co_count_snapshots());
  if (h_.encryption) count(h_.encryption->first, h_.encryption->second);
  co_await or_return(co_await co_count_bitmaps());
  count(h_.refcount_table_offset, uint64_t{h_.refcount_table_clusters} << h_.cluster_bits);
  co_await or_return(co_await co_read_refcounts());
  co_await or_return(co_await co_compare());
  if (structure_broken_ && options_.fix_errors) {
    co_await or_return(co_await co_rebuild());
    result_.corruptions_fixed += result_.corruptions;
    result_.leaks_fixed += result_.leaks;
    result_.corruptions = result_.leaks = 0;
    blocks_.clear();
    block_changed_.clear();
    std::ignore = co_await co_read_refcounts();
    structure_broken_ = false;
  } else {
    co_await or_return(co_await co_fix());
  }
  co_await or_return(co_await co_check_copied());
  image_.refcounts_.clear();
  image_.l2_.clear();
  image_.free_hint_ = 0;
  if (options_.fix_leaks || options_.fix_errors) co_await or_return(co_await image_.co_checkpoint(true));
  co_return result_;
}

CoResult<CheckResult> co_check(Image& image, CheckOptions options) {
  co_await or_return(co_await image.co_settle());
  Checker checker(image, std::move(options));
  co_return co_await checker.co_run();
}

}  // namespace rhea::qcow2
