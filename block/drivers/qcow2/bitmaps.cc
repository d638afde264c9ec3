#include "block/drivers/qcow2/bitmaps.h"

#include <algorithm>
#include <bit>
#include <set>

#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

namespace {

constexpr size_t kBitmapEntryBytes = 24;
constexpr uint64_t kMaxDirectoryBytes = uint64_t{kMaxBitmaps} * (kBitmapEntryBytes + DirtyBitmap::kMaxName);
constexpr uint64_t kTableOffsetMask = 0x00fffffffffffe00;
constexpr uint64_t kTableReservedMask = 0xff000000000001fe;
constexpr uint64_t kAllOnes = 1;  ///< a table entry without an offset

size_t entry_bytes(size_t name, size_t extra) {
  return (kBitmapEntryBytes + name + extra + 7) & ~size_t{7};
}

Result<StoredBitmap> parse_entry(const Header& h, std::span<const uint8_t> raw, size_t& length) {
  if (raw.size() < kBitmapEntryBytes) return fail(EINVAL, "Broken bitmap directory");
  StoredBitmap b;
  b.table_offset = load_be<uint64_t>(&raw[0]);
  b.table_entries = load_be<uint32_t>(&raw[8]);
  b.flags = load_be<uint32_t>(&raw[12]);
  const uint8_t type = raw[16];
  b.granularity_bits = raw[17];
  const size_t name = load_be<uint16_t>(&raw[18]), extra = load_be<uint32_t>(&raw[20]);
  if (extra > raw.size() - kBitmapEntryBytes || name > raw.size() - kBitmapEntryBytes - extra)
    return fail(EINVAL, "Broken bitmap directory");
  length = std::min(entry_bytes(name, extra), raw.size());
  const uint8_t* rest = raw.data() + kBitmapEntryBytes;
  b.extra.assign(rest, rest + extra);
  b.name.assign(reinterpret_cast<const char*>(rest + extra), name);
  if (type != 1 || name == 0 || name > DirtyBitmap::kMaxName || b.name.find('\0') != std::string::npos ||
      (b.flags & ~(kBitmapInUse | kBitmapAuto | kBitmapExtraCompatible)) != 0 ||
      b.granularity_bits < kMinBitmapGranularityBits || b.granularity_bits > kMaxBitmapGranularityBits ||
      b.table_entries > kMaxBitmapTableEntries ||
      uint64_t{b.table_entries} * h.cluster_bytes() > kMaxBitmapBytes + h.cluster_bytes() ||
      b.table_offset == 0 || (b.table_offset & (h.cluster_bytes() - 1)) != 0)
    return fail(EINVAL, "Bitmap '", b.name.substr(0, DirtyBitmap::kMaxName),
                "' doesn't satisfy the constraints");
  if (extra != 0 && (b.flags & kBitmapExtraCompatible) == 0)
    return fail(ENOTSUP, "Bitmap extra data is not supported");
  return b;
}

std::vector<uint8_t> serialize_directory(const std::vector<StoredBitmap>& all) {
  std::vector<uint8_t> out;
  for (const StoredBitmap& b : all) {
    const size_t at = out.size();
    out.resize(at + entry_bytes(b.name.size(), b.extra.size()));
    store_be<uint64_t>(&out[at], b.table_offset);
    store_be<uint32_t>(&out[at + 8], b.table_entries);
    store_be<uint32_t>(&out[at + 12], b.flags);
    out[at + 16] = 1;
    out[at + 17] = static_cast<uint8_t>(b.granularity_bits);
    store_be<uint16_t>(&out[at + 18], static_cast<uint16_t>(b.name.size()));
    store_be<uint32_t>(&out[at + 20], static_cast<uint32_t>(b.extra.size()));
    const auto rest = out.begin() + static_cast<ptrdiff_t>(at + kBitmapEntryBytes);
    std::ranges::copy(b.name, std::ranges::copy(b.extra, rest).out);
  }
  return out;
}

CoResult<std::vector<uint64_t>> co_read_bitmap_table(Image& image, const StoredBitmap& b) {
  std::vector<uint64_t> table(b.table_entries);
  if (table.empty()) co_return table;
  const ByteRange range(b.table_offset, table.size() * 8);
  if (range.offset > image.file().node().total_bytes() ||
      range.bytes > image.file().node().total_bytes() - range.offset)
    co_return fail(EINVAL, "Bitmap '", b.name, "': its table lies beyond the end of the file");
  const IoVector view(table.data(), range.bytes);
  co_await or_return(co_await image.file().co_preadv(range, view));
  for (uint64_t& e : table) {
    e = byte_swapped(e);
    if ((e & kTableReservedMask) != 0 || image.into_cluster(e & kTableOffsetMask) != 0 ||
        ((e & kTableOffsetMask) != 0 && (e & kAllOnes) != 0))
      co_return fail(EINVAL, "Bitmap '", b.name, "': an entry of its table is bent");
  }
  co_return table;
}

CoResult<> co_write_header_durably(Image& image) {
  co_await or_return(co_await image.co_write_header());
  co_return co_await image.file().co_flush();
}

CoResult<uint64_t> co_write_new(Image& image, std::vector<uint8_t> bytes) {
  const uint64_t clusters = image.cluster_ceil(bytes.size()) / image.cluster_bytes();
  auto claim = [&] { return image.allocate_contiguous(clusters); };
  const Image::Run run = co_await or_return(co_await image.co_step<Image::Run>(claim));
  bytes.resize(clusters * image.cluster_bytes());
  const IoVector view(bytes.data(), bytes.size());
  Result<> written = co_await image.file().co_pwritev(ByteRange(run.offset, bytes.size()), view);
  if (written) co_return run.offset;
  std::lock_guard lock(image.mutex());
  image.free_later(run.offset, bytes.size(), FreeReason::kNever);
  co_return Failure(std::move(written).error());
}

}  // namespace

CoResult<std::vector<StoredBitmap>> co_read_bitmaps(Image& image) {
  const Header& h = image.header();
  std::vector<StoredBitmap> all;
  if (!h.bitmaps) co_return all;
  const BitmapsExtension& e = *h.bitmaps;
  if (e.count > kMaxBitmaps)
    co_return fail(EINVAL, "bitmaps_ext: image has ", e.count, " bitmaps, more than ", kMaxBitmaps,
                   " are not supported");
  const uint64_t file = image.file().node().total_bytes();
  if (image.into_cluster(e.directory_offset) != 0)
    co_return fail(EINVAL, "bitmaps_ext: invalid bitmap directory offset");
  if (e.directory_bytes > kMaxDirectoryBytes || e.directory_offset > file ||
      e.directory_bytes > file - e.directory_offset)
    co_return fail(EINVAL, "bitmaps_ext: bitmap directory size (", e.directory_bytes,
                   ") exceeds the maximum supported size (", kMaxDirectoryBytes, ")");
  std::vector<uint8_t> raw(e.directory_bytes);
  const IoVector view(raw.data(), raw.size());
  Result<> read = co_await image.file().co_preadv(ByteRange(e.directory_offset, e.directory_bytes), view);
  if (!read) co_return Failure(std::move(read).error().prepend("Failed to read bitmap directory: "));
  std::set<std::string> names;
  for (std::span<const uint8_t> rest(raw); !rest.empty();) {
    size_t length = 0;
    all.push_back(co_await or_return(parse_entry(h, rest, length)));
    if (!names.insert(all.back().name).second)
      co_return fail(EINVAL, "Bitmap '", all.back().name, "' is listed twice");
    if (all.size() > e.count) break;
    rest = rest.subspan(length);
  }
  if (all.size() != e.count)
    co_return fail(EINVAL, "More or less bitmaps found than specified in header extension");
  co_return all;
}

CoResult<> co_load_bitmap(Image& image, const StoredBitmap& stored, DirtyBitmap& bitmap) {
  const uint64_t size = image.cluster_bytes(), bits = size * 8;
  if (uint64_t{stored.table_entries} != (bitmap.stored_bytes() + size - 1) / size)
    co_return fail(EINVAL, "Bitmap '", stored.name, "': table size does not match the disk's");
  const std::vector<uint64_t> table = co_await or_return(co_await co_read_bitmap_table(image, stored));
  std::vector<uint8_t> cluster(size);
  for (size_t i = 0; i < table.size(); ++i) {
    const uint64_t offset = table[i] & kTableOffsetMask;
    const size_t n = std::min<uint64_t>(size, bitmap.stored_bytes() - i * size);
    if (offset == 0 && (table[i] & kAllOnes) == 0) continue;
    if (offset == 0) {
      std::ranges::fill(cluster, 0xff);
    } else {
      const IoVector view(cluster.data(), n);
      co_await or_return(co_await image.file().co_preadv(ByteRange(offset, n), view));
    }
    bitmap.load(i * bits, std::span<const uint8_t>(cluster.data(), n));
  }
  co_return Result<>();
}

CoResult<> co_store_bitmap(Image& image, const DirtyBitmap& bitmap, StoredBitmap& stored) {
  const uint64_t size = image.cluster_bytes(), bits = size * 8;
  const uint64_t entries = (bitmap.stored_bytes() + size - 1) / size;
  if (bitmap.stored_bytes() > kMaxBitmapBytes || entries > kMaxBitmapTableEntries)
    co_return fail(EFBIG, "Bitmap '", bitmap.name(), "' is too big");
  std::vector<uint8_t> table(std::max<uint64_t>(entries, 1) * 8), cluster(size);
  for (uint64_t i = 0; i < entries; ++i) {
    const size_t n = std::min<uint64_t>(size, bitmap.stored_bytes() - i * size);
    std::ranges::fill(cluster, 0);
    bitmap.store(i * bits, std::span<uint8_t>(cluster.data(), n));
    const bool empty = std::ranges::all_of(cluster, [](uint8_t b) { return b == 0; });
    const bool full = n == size && std::ranges::all_of(cluster, [](uint8_t b) { return b == 0xff; });
    uint64_t entry = full ? kAllOnes : 0;
    if (!empty && !full) entry = co_await or_return(co_await co_write_new(image, cluster));
    store_be<uint64_t>(&table[i * 8], entry);
  }
  stored.table_entries = static_cast<uint32_t>(entries);
  stored.table_offset = co_await or_return(co_await co_write_new(image, std::move(table)));
  co_return Result<>();
}

CoResult<> co_write_bitmap_flags(Image& image, const std::vector<StoredBitmap>& all) {
  Header& h = image.header();
  if (!h.bitmaps) co_return Result<>();
  std::vector<uint8_t> raw = serialize_directory(all);
  if (raw.size() != ((h.bitmaps->directory_bytes + 7) & ~uint64_t{7}))
    co_return fail(EINVAL, "The bitmap directory has changed");
  h.autoclear &= ~kAutoclearBitmaps;
  Result<> done = co_await image.co_write_header();
  if (done) done = co_await image.file().co_flush();
  const IoVector view(raw.data(), raw.size());
  if (done) done = co_await image.file().co_pwritev(ByteRange(h.bitmaps->directory_offset, raw.size()), view);
  if (done) done = co_await image.file().co_flush();
  h.autoclear |= kAutoclearBitmaps;
  if (done) done = co_await image.co_write_header();
  if (done) done = co_await image.file().co_flush();
  co_return done;
}

CoResult<> co_replace_bitmaps(Image& image, const std::vector<StoredBitmap>& all,
                              const std::vector<StoredBitmap>& gone) {
  Header& h = image.header();
  const Header before = h;
  std::vector<std::vector<uint64_t>> tables;  // what goes is known before anything changes
  for (const StoredBitmap& b : gone) {
    Result<std::vector<uint64_t>> table = co_await co_read_bitmap_table(image, b);
    tables.push_back(table ? std::move(*table) : std::vector<uint64_t>());  // bent: a leak
  }
  BitmapsExtension next;
  if (!all.empty()) {
    std::vector<uint8_t> raw = serialize_directory(all);
    if (raw.size() > kMaxDirectoryBytes) co_return fail(EFBIG, "Not enough space in the bitmap directory");
    next.count = static_cast<uint32_t>(all.size());
    next.directory_bytes = raw.size();
    next.directory_offset = co_await or_return(co_await co_write_new(image, std::move(raw)));
  }
  Result<> done = co_await image.co_checkpoint(true);
  // The header may be longer than what storage writes at once: the extension changes only while the flag,
  // which lies in the first sector, says that it does not count.
  if (done && (h.autoclear & kAutoclearBitmaps) != 0) {
    h.autoclear &= ~kAutoclearBitmaps;
    done = co_await co_write_header_durably(image);
  }
  if (done) {
    h.bitmaps.reset();
    if (!all.empty()) h.bitmaps = next;
    done = co_await co_write_header_durably(image);
  }
  if (done && !all.empty()) {
    h.autoclear |= kAutoclearBitmaps;
    done = co_await co_write_header_durably(image);
  }
  std::lock_guard lock(image.mutex());
  if (!done) {
    h = before;
    if (!all.empty()) image.free_later(next.directory_offset, next.directory_bytes, FreeReason::kNever);
    co_return done;
  }
  if (before.bitmaps) {
    image.unmark_meta(before.bitmaps->directory_offset, before.bitmaps->directory_bytes);
    image.free_later(before.bitmaps->directory_offset, before.bitmaps->directory_bytes, FreeReason::kOther);
  }
  if (!all.empty())
    image.mark_meta(next.directory_offset, next.directory_bytes, Image::Meta::kBitmapDirectory);
  for (size_t i = 0; i < gone.size(); ++i) {
    for (const uint64_t e : tables[i])
      if ((e & kTableOffsetMask) != 0)
        image.free_later(e & kTableOffsetMask, image.cluster_bytes(), FreeReason::kOther);
    if (!tables[i].empty() || gone[i].table_entries == 0)
      image.free_later(gone[i].table_offset, std::max<uint64_t>(gone[i].table_entries, 1) * 8,
                       FreeReason::kOther);
  }
  co_return Result<>();
}

uint64_t measure_bitmaps(const DirtyBitmapSet& bitmaps, uint64_t cluster_bytes) {
  const auto up = [&](uint64_t n) { return (n + cluster_bytes - 1) / cluster_bytes * cluster_bytes; };
  uint64_t bytes = 0, directory = 0;
  for (const auto& b : bitmaps.all()) {
    if (!b->persistent() || b->inconsistent()) continue;
    const uint64_t data = up(b->stored_bytes());
    bytes += data + up(data / cluster_bytes * 8);
    directory += entry_bytes(b->name().size(), 0);
  }
  return bytes + up(directory);
}

}  // namespace rhea::qcow2
