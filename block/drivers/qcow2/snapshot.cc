#include "block/drivers/qcow2/snapshot.h"

#include <algorithm>

#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

namespace {

constexpr size_t kEntryBytes = 40;
constexpr size_t kOwnExtraBytes = 24;
constexpr uint32_t kMaxExtraBytes = 1024;

/// Reads forward through the file, so that a table of any length takes one request for each 64 KiB.
class Reader {
 public:
  Reader(const BdrvChild& file, uint64_t offset) : file_(file), at_(offset) {}
  uint64_t position() const { return at_; }
  CoResult<> co_take(uint8_t* out, uint64_t bytes) {
    const IoVector view(out, bytes);
    if (at_ + bytes > file_.node().total_bytes()) co_return fail(EINVAL, "the table ends behind the file");
    const ByteRange range(at_, bytes);
    at_ += bytes;
    co_return co_await file_.co_preadv(range, view);
  }
  void align() { at_ = (at_ + 7) & ~uint64_t{7}; }

 private:
  const BdrvChild& file_;
  uint64_t at_;
};

void parse_fixed(const uint8_t* raw, Snapshot& s) {
  s.l1_offset = load_be<uint64_t>(raw);
  s.l1_entries = load_be<uint32_t>(raw + 8);
  s.date_s = load_be<uint32_t>(raw + 16);
  s.date_ns = load_be<uint32_t>(raw + 20);
  s.vm_clock_ns = load_be<uint64_t>(raw + 24);
  s.vm_state_bytes = load_be<uint32_t>(raw + 32);
}

std::vector<uint8_t> serialize(const std::vector<Snapshot>& all) {
  std::vector<uint8_t> out;
  for (const Snapshot& s : all) {
    out.resize((out.size() + 7) & ~size_t{7});
    const size_t at = out.size();
    out.resize(at + kEntryBytes + kOwnExtraBytes);
    uint8_t* raw = &out[at];
    store_be(raw, s.l1_offset);
    store_be(raw + 8, s.l1_entries);
    store_be(raw + 12, static_cast<uint16_t>(s.id.size()));
    store_be(raw + 14, static_cast<uint16_t>(s.name.size()));
    store_be(raw + 16, s.date_s);
    store_be(raw + 20, s.date_ns);
    store_be(raw + 24, s.vm_clock_ns);
    store_be(raw + 32, static_cast<uint32_t>(std::min<uint64_t>(s.vm_state_bytes, UINT32_MAX)));
    store_be(raw + 36, static_cast<uint32_t>(kOwnExtraBytes + s.unknown_extra.size()));
    store_be(raw + 40, s.vm_state_bytes);
    store_be(raw + 48, s.disk_bytes);
    store_be(raw + 56, s.icount);
    out.insert(out.end(), s.unknown_extra.begin(), s.unknown_extra.end());
    out.insert(out.end(), s.id.begin(), s.id.end());
    out.insert(out.end(), s.name.begin(), s.name.end());
  }
  return out;
}

/// Calls `fn` for each of the image's clusters that the tree under `l1` refers to: (offset, bytes).
template <class F>
CoResult<> co_walk_tree(Image& image, const std::vector<uint64_t>& l1, F& fn) {
  const Header& h = image.header();
  std::vector<uint64_t> entries(h.cluster_bytes() / 8);
  for (const uint64_t e : l1) {
    const uint64_t table = e & kL1OffsetMask;
    if (table == 0) continue;
    if (image.into_cluster(table) != 0) co_return fail(EIO, "An L1 entry of the snapshot is bent");
    const IoVector view(entries.data(), h.cluster_bytes());
    co_await or_return(co_await image.file().co_preadv(ByteRange(table, h.cluster_bytes()), view));
    for (size_t i = 0; i < entries.size(); i += h.l2_entry_bytes() / 8) {
      const uint64_t entry = byte_swapped(entries[i]);
      if ((entry & kCompressed) != 0) {
        const CompressedExtent c = compressed_extent(entry, h.cluster_bits);
        const uint64_t skew = c.offset & 511;
        co_await or_return(co_await fn(c.offset - skew, c.bytes + skew));
      } else if ((entry & kL2OffsetMask) != 0 && !h.has_data_file()) {
        if (image.into_cluster(entry & kL2OffsetMask) != 0)
          co_return fail(EIO, "An L2 entry of the snapshot is bent");
        co_await or_return(co_await fn(entry & kL2OffsetMask, h.cluster_bytes()));
      }
    }
    co_await or_return(co_await fn(table, h.cluster_bytes()));
  }
  co_return Result<>();
}

/// One more reference for everything under `l1`; on failure those that were made are given back.
struct AddReferences {
  Image& image;
  std::vector<std::pair<uint64_t, uint64_t>> done;
  CoResult<> operator()(uint64_t offset, uint64_t bytes) {
    auto add = [&] { return image.add_reference(offset, bytes); };
    co_await or_return(co_await image.co_step<void>(add));
    done.emplace_back(offset, bytes);
    co_return co_await image.co_relieve();
  }
  void undo() {
    std::lock_guard lock(image.mutex());
    for (const auto& [offset, bytes] : done) image.free_later(offset, bytes, FreeReason::kNever);
  }
};

struct DropReferences {
  Image& image;
  FreeReason reason;
  CoResult<> operator()(uint64_t offset, uint64_t bytes) {
    {
      std::lock_guard lock(image.mutex());
      image.free_later(offset, bytes, reason);
    }
    co_return co_await image.co_relieve();
  }
};

CoResult<std::vector<uint64_t>> co_read_l1(Image& image, uint64_t offset, uint64_t entries) {
  if (image.into_cluster(offset) != 0 || offset > INT64_MAX - entries * 8)
    co_return fail(EINVAL, "Snapshot L1 table offset invalid");
  std::vector<uint64_t> l1(entries);
  if (entries == 0) co_return l1;
  const IoVector view(l1.data(), entries * 8);
  co_await or_return(co_await image.file().co_preadv(ByteRange(offset, entries * 8), view));
  for (uint64_t& e : l1) e = byte_swapped(e);
  co_return l1;
}

/// Puts a new table in place of the image's; the header names it when it is durable.
CoResult<> co_write_snapshots(Image& image, const std::vector<Snapshot>& all) {
  Header& h = image.header();
  std::vector<uint8_t> bytes = serialize(all);
  if (bytes.size() > kMaxSnapshotTableBytes || all.size() > kMaxSnapshots)
    co_return fail(EFBIG, "Snapshot table too large");
  Image::Run run;
  if (!bytes.empty()) {
    const uint64_t clusters = image.cluster_ceil(bytes.size()) >> h.cluster_bits;
    auto claim = [&] { return image.allocate_contiguous(clusters); };
    run = co_await or_return(co_await image.co_step<Image::Run>(claim));
    const IoVector view(bytes.data(), bytes.size());
    co_await or_return(co_await image.file().co_pwritev(ByteRange(run.offset, bytes.size()), view));
  }
  Result<> safe = co_await image.co_checkpoint(true);
  const Header before = h;
  if (safe) {
    h.snapshots = static_cast<uint32_t>(all.size());
    h.snapshots_offset = run.offset;
    safe = co_await image.co_write_header();
    if (safe) safe = co_await image.co_flush_children();
  }
  std::lock_guard lock(image.mutex());
  if (!safe) {
    h = before;
    image.free_later(run.offset, bytes.size(), FreeReason::kNever);
    co_return safe;
  }
  if (before.snapshots_offset != 0 && before.snapshots != 0) {
    image.unmark_meta(before.snapshots_offset, image.snapshot_table_bytes);
    image.free_later(before.snapshots_offset, image.snapshot_table_bytes, FreeReason::kOther);
  }
  image.snapshot_table_bytes = bytes.size();
  image.mark_meta(run.offset, bytes.size(), Image::Meta::kSnapshotTable);
  co_return Result<>();
}

/// Sets each copied flag of the active tables as the refcounts are now, or will be without the tree of
/// `leaving`.
CoResult<> co_refresh_copied(Image& image, std::vector<uint64_t> leaving = {}) {
  const Header& h = image.header();
  for (size_t i = 0; i < image.l1().size(); ++i) {
    const uint64_t table = image.l1()[i] & kL1OffsetMask;
    if (table == 0) continue;
    auto count_table = [&] { return image.refcount(table >> h.cluster_bits); };
    const uint64_t left = i < leaving.size() ? leaving[i] & kL1OffsetMask : 0;
    const uint64_t n = co_await or_return(co_await image.co_step<uint64_t>(count_table));
    const bool own = n - (left == table ? 1 : 0) == 1;
    std::vector<uint64_t> entries;
    if (left != 0) entries = co_await or_return(co_await co_read_l1(image, left, h.cluster_bytes() / 8));
    {
      std::lock_guard lock(image.mutex());
      const uint64_t now = own ? table | kCopied : table;
      if (now != image.l1()[i]) {
        image.l1()[i] = now;
        image.l1_changed(i);
      }
    }
    for (uint64_t e = 0; e < h.l2_entries(); ++e) {
      auto mark = [&] { return image.refresh_copied(table, e, entries); };
      e = co_await or_return(co_await image.co_step<uint64_t>(mark));
    }
    co_await or_return(co_await image.co_relieve());
  }
  co_return co_await image.co_checkpoint(true);
}

}  // namespace

CoResult<std::vector<Snapshot>> co_read_snapshots(Image& image) {
  const Header& h = image.header();
  std::vector<Snapshot> all;
  Reader reader(image.file(), h.snapshots_offset);
  for (uint32_t i = 0; i < h.snapshots; ++i) {
    reader.align();
    uint8_t raw[kEntryBytes];
    co_await or_return(co_await reader.co_take(raw, sizeof raw));
    Snapshot s;
    parse_fixed(raw, s);
    s.disk_bytes = h.virtual_bytes;
    const auto id_bytes = load_be<uint16_t>(raw + 12), name_bytes = load_be<uint16_t>(raw + 14);
    const auto extra_bytes = load_be<uint32_t>(raw + 36);
    if (extra_bytes > kMaxExtraBytes)
      co_return fail(EINVAL, "Too much extra metadata in snapshot table entry ", i);
    if (uint64_t{s.l1_entries} * 8 > kMaxL1Bytes) co_return fail(EFBIG, "Snapshot L1 table too large");
    std::vector<uint8_t> rest(extra_bytes + id_bytes + name_bytes);
    co_await or_return(co_await reader.co_take(rest.data(), rest.size()));
    if (extra_bytes >= 8) s.vm_state_bytes = load_be<uint64_t>(rest.data());
    if (extra_bytes >= 16) s.disk_bytes = load_be<uint64_t>(&rest[8]);
    if (extra_bytes >= 24) s.icount = load_be<uint64_t>(&rest[16]);
    if (extra_bytes > kOwnExtraBytes)
      s.unknown_extra.assign(rest.begin() + kOwnExtraBytes, rest.begin() + extra_bytes);
    s.id.assign(rest.begin() + extra_bytes, rest.begin() + extra_bytes + id_bytes);
    s.name.assign(rest.begin() + extra_bytes + id_bytes, rest.end());
    if (reader.position() - h.snapshots_offset > kMaxSnapshotTableBytes)
      co_return fail(EFBIG, "Snapshot table too large");
    all.push_back(std::move(s));
  }
  image.snapshot_table_bytes = reader.position() - h.snapshots_offset;
  co_return all;
}

CoResult<> co_rewrite_snapshots(Image& image) {
  const std::vector<Snapshot> all = co_await or_return(co_await co_read_snapshots(image));
  co_return co_await co_write_snapshots(image, all);
}

CoResult<> co_create_snapshot(Image& image, Snapshot snapshot) {
  Header& h = image.header();
  if (h.has_data_file()) co_return fail(ENOTSUP, "Images with an external data file cannot have snapshots");
  if (h.snapshots >= kMaxSnapshots) co_return fail(EFBIG, "The image has as many snapshots as it can");
  std::vector<Snapshot> all = co_await or_return(co_await co_read_snapshots(image));
  if (snapshot.id.empty()) {  // one more than the largest there is
    uint64_t largest = 0, n = 0;
    for (const Snapshot& s : all)
      if (parse_u64(s.id, n)) largest = std::max(largest, n);
    snapshot.id = str_cat(largest + 1);
  }
  for (const Snapshot& s : all)
    if (s.id == snapshot.id) co_return fail(EEXIST, "Snapshot with id '", snapshot.id, "' exists already");
  snapshot.disk_bytes = h.virtual_bytes;
  co_await or_return(co_await image.co_checkpoint(true));
  const std::vector<uint64_t> l1 = image.l1();
  AddReferences add{image, {}};
  Result<> done = co_await co_walk_tree(image, l1, add);
  Image::Run run;
  if (done && !l1.empty()) {
    const uint64_t clusters = image.cluster_ceil(l1.size() * 8) >> h.cluster_bits;
    auto claim = [&] { return image.allocate_contiguous(clusters); };
    Result<Image::Run> got = co_await image.co_step<Image::Run>(claim);
    if (got)
      run = *got;
    else
      done = Failure(std::move(got).error());
  }
  // First the counts, then the flags that follow from them, both durable before the snapshot exists.
  if (done) done = co_await image.co_checkpoint(true);
  if (done) done = co_await co_refresh_copied(image);
  if (done && !l1.empty()) {
    std::vector<uint64_t> copy(l1.size());
    std::ranges::transform(l1, copy.begin(), [](uint64_t e) { return byte_swapped(e & ~kCopied); });
    const IoVector view(copy.data(), copy.size() * 8);
    done = co_await image.file().co_pwritev(ByteRange(run.offset, copy.size() * 8), view);
  }
  if (done) {
    snapshot.l1_offset = run.offset;
    snapshot.l1_entries = static_cast<uint32_t>(l1.size());
    all.push_back(std::move(snapshot));
    done = co_await co_write_snapshots(image, all);
  }
  if (!done) {
    add.undo();
    {
      std::lock_guard lock(image.mutex());
      image.free_later(run.offset, run.clusters << h.cluster_bits, FreeReason::kNever);
    }
    std::ignore = co_await image.co_checkpoint(true);
    std::ignore = co_await co_refresh_copied(image);
    co_return done;
  }
  image.mark_meta(run.offset, l1.size() * 8, Image::Meta::kInactiveL1);
  co_return Result<>();
}

CoResult<> co_apply_snapshot(Image& image, const Snapshot& s) {
  Header& h = image.header();
  if (h.has_data_file()) co_return fail(ENOTSUP, "Images with an external data file cannot have snapshots");
  co_await or_return(co_await image.co_checkpoint(true));
  std::vector<uint64_t> l1 = co_await or_return(co_await co_read_l1(image, s.l1_offset, s.l1_entries));
  const uint64_t needed = (s.disk_bytes + h.l2_span() - 1) / h.l2_span();
  if (l1.size() < needed) co_return fail(EINVAL, "The snapshot's L1 table is too small");
  co_await or_return(co_await image.co_grow_l1(l1.size()));
  AddReferences add{image, {}};
  Result<> done = co_await co_walk_tree(image, l1, add);
  if (done) done = co_await image.co_checkpoint(true);
  if (!done) {
    add.undo();
    co_return done;
  }
  const std::vector<uint64_t> old = image.l1();
  l1.resize(old.size());
  {
    std::lock_guard lock(image.mutex());
    for (size_t i = 0; i < l1.size(); ++i) {
      image.l1()[i] = l1[i] & ~kCopied;
      image.l1_changed(i);
    }
    image.drop_l2_cache();
  }
  co_await or_return(co_await image.co_checkpoint(true));
  if (s.disk_bytes != h.virtual_bytes) {
    h.virtual_bytes = s.disk_bytes;
    co_await or_return(co_await image.co_write_header());
  }
  DropReferences drop{image, FreeReason::kSnapshot};
  co_await or_return(co_await co_walk_tree(image, old, drop));
  co_await or_return(co_await image.co_checkpoint(true));
  co_return co_await co_refresh_copied(image);
}

CoResult<> co_show_snapshot(Image& image, const Snapshot& s) {
  const Header& h = image.header();
  std::vector<uint64_t> l1 = co_await or_return(co_await co_read_l1(image, s.l1_offset, s.l1_entries));
  if (l1.size() < (s.disk_bytes + h.l2_span() - 1) / h.l2_span())
    co_return fail(EINVAL, "The snapshot's L1 table is too small");
  std::lock_guard lock(image.mutex());
  image.l1() = std::move(l1);
  image.header().virtual_bytes = s.disk_bytes;
  image.drop_l2_cache();
  co_return Result<>();
}

CoResult<> co_delete_snapshot(Image& image, const std::string& id) {
  std::vector<Snapshot> all = co_await or_return(co_await co_read_snapshots(image));
  const auto it = std::ranges::find(all, id, &Snapshot::id);
  if (it == all.end()) co_return fail(ENOENT, "Can't find the snapshot");
  const Snapshot gone = *it;
  all.erase(it);
  const std::vector<uint64_t> l1 =
      co_await or_return(co_await co_read_l1(image, gone.l1_offset, gone.l1_entries));
  co_await or_return(co_await image.co_checkpoint(true));
  co_await or_return(co_await co_write_snapshots(image, all));
  // The flags first: what a crash leaves then is too many references, and nothing worse.
  co_await or_return(co_await co_refresh_copied(image, l1));
  DropReferences drop{image, FreeReason::kSnapshot};
  co_await or_return(co_await co_walk_tree(image, l1, drop));
  {
    std::lock_guard lock(image.mutex());
    image.unmark_meta(gone.l1_offset, l1.size() * 8);
    image.free_later(gone.l1_offset, l1.size() * 8, FreeReason::kSnapshot);
  }
  co_return co_await image.co_checkpoint(true);
}

}  // namespace rhea::qcow2
