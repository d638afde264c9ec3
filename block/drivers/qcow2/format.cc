#include "block/drivers/qcow2/format.h"

#include <algorithm>

#include "util/byteorder.h"

namespace rhea::qcow2 {

std::string_view compression_name(Compression c) {
  return c == Compression::kZstd ? "zstd" : "zlib";
}

namespace {

/// What a table of features looks like in the header: type, bit, 46 bytes of name.
struct FeatureName {
  uint8_t type;  ///< 0 incompatible, 1 compatible, 2 autoclear
  uint8_t bit;
  std::string_view name;
};
constexpr FeatureName kFeatureNames[] = {
    {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
    {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},          {2, 1, "raw external data"}};
constexpr size_t kFeatureNameBytes = 48;

/// Names of unknown incompatible bits: from the image's own table where it has them.
std::string unsupported_features(std::span<const uint8_t> table, uint64_t bits) {
  std::string out;
  for (size_t at = 0; at + kFeatureNameBytes <= table.size(); at += kFeatureNameBytes) {
    if (table[at] != 0 || table[at + 1] > 63 || (bits >> table[at + 1] & 1) == 0) continue;
    const char* name = reinterpret_cast<const char*>(&table[at + 2]);
    str_append(out, out.empty() ? "" : ", ", std::string_view(name, strnlen(name, kFeatureNameBytes - 2)));
    bits &= ~(uint64_t{1} << table[at + 1]);
  }
  for (int bit = 0; bit < 64; ++bit)
    if (bits >> bit & 1)
      str_append(out, out.empty() ? "" : ", ", "Unknown incompatible feature: ", hex(uint64_t{1} << bit));
  return out;
}

Result<> parse_v3_fields(Header& h, std::span<const uint8_t> first) {
  if (h.version < 3) {
    h.header_bytes = kHeaderBytesV2;
    return {};
  }
  h.incompatible = load_be<uint64_t>(&first[72]);
  h.compatible = load_be<uint64_t>(&first[80]);
  h.autoclear = load_be<uint64_t>(&first[88]);
  h.refcount_order = load_be<uint32_t>(&first[96]);
  h.header_bytes = load_be<uint32_t>(&first[100]);
  if (h.header_bytes < kHeaderBytesV3) return fail(EINVAL, "qcow2 header too short");
  if (h.header_bytes > h.cluster_bytes()) return fail(EINVAL, "qcow2 header exceeds cluster size");
  if (h.header_bytes > first.size()) return fail(EINVAL, "Could not read qcow2 header");
  if (h.header_bytes > kHeaderBytesV3) h.compression = static_cast<Compression>(first[104]);
  if (h.header_bytes > kHeaderBytesOwn)
    h.unknown_fields.assign(first.begin() + kHeaderBytesOwn, first.begin() + h.header_bytes);
  return {};
}

Result<> take_extension(Header& h, uint32_t type, std::span<const uint8_t> data,
                        std::span<const uint8_t>& feature_names) {
  const auto text = [&] { return std::string(reinterpret_cast<const char*>(data.data()), data.size()); };
  switch (type) {
    case extension::kBackingFormat:
      h.backing_format = text();
      return {};
    case extension::kDataFile:
      h.data_file = text();
      return {};
    case extension::kFeatureNames:
      h.has_feature_names = true;
      feature_names = data;
      return {};
    case extension::kBitmaps:
      if (h.version < 3 || (h.autoclear & kAutoclearBitmaps) == 0) return {};  // stale
      if (data.size() != 24) return fail(EINVAL, "bitmaps_ext: Invalid extension length");
      h.bitmaps = BitmapsExtension{load_be<uint32_t>(&data[0]), load_be<uint64_t>(&data[8]),
                                   load_be<uint64_t>(&data[16])};
      if (load_be<uint32_t>(&data[4]) != 0) return fail(EINVAL, "bitmaps_ext: Reserved field is not zero");
      if (h.bitmaps->count == 0) return fail(EINVAL, "found bitmaps extension with zero bitmaps");
      return {};
    case extension::kEncryption:
      if (h.crypt_method != 2)
        return fail(EINVAL, "CRYPTO header extension only expected with LUKS encryption method");
      if (data.size() != 16)
        return fail(EINVAL, "CRYPTO header extension size ", data.size(), ", but expected size 16");
      h.encryption.emplace(load_be<uint64_t>(&data[0]), load_be<uint64_t>(&data[8]));
      return {};
    default:
      h.unknown_extensions.push_back({type, std::vector<uint8_t>(data.begin(), data.end())});
      return {};
  }
}

Result<> parse_extensions(Header& h, std::span<const uint8_t> first, uint64_t end,
                          std::span<const uint8_t>& feature_names) {
  uint64_t at = h.header_bytes;
  while (at < end && at + 8 <= first.size()) {
    const auto type = load_be<uint32_t>(&first[at]);
    const auto length = load_be<uint32_t>(&first[at + 4]);
    at += 8;
    if (type == extension::kEnd) return {};
    if (at > end || length > end - at) return fail(EINVAL, "Header extension too large");
    TRY(take_extension(h, type, first.subspan(at, length), feature_names));
    at += (uint64_t{length} + 7) & ~uint64_t{7};
  }
  return {};
}

Result<> parse_backing_name(Header& h, std::span<const uint8_t> first) {
  const auto offset = load_be<uint64_t>(&first[8]);
  const auto bytes = load_be<uint32_t>(&first[16]);
  if (offset == 0) return {};
  if (offset > h.cluster_bytes()) return fail(EINVAL, "Invalid backing file offset");
  if (bytes > std::min<uint64_t>(kMaxBackingNameBytes, h.cluster_bytes() - offset))
    return fail(EINVAL, "Backing file name too long");
  if (offset + bytes > first.size()) return fail(EINVAL, "Could not read backing file name");
  h.backing_file.assign(reinterpret_cast<const char*>(&first[offset]), bytes);
  h.backing_file.resize(strnlen(h.backing_file.c_str(), bytes));
  return {};
}

Result<> check_features(const Header& h, std::span<const uint8_t> feature_names) {
  if (const uint64_t unknown = h.incompatible & ~kIncompatKnown; unknown != 0)
    return fail(ENOTSUP, "Unsupported qcow2 feature(s): ", unsupported_features(feature_names, unknown));
  if (h.extended_l2() && h.cluster_bits < kMinExtendedL2ClusterBits)
    return fail(EINVAL, "Extended L2 entries are only supported with cluster sizes of at least ",
                uint64_t{1} << kMinExtendedL2ClusterBits, " bytes");
  const bool named = (h.incompatible & kIncompatCompression) != 0;
  if (h.compression != Compression::kDeflate && h.compression != Compression::kZstd)
    return fail(ENOTSUP, "qcow2: unknown compression type: ", static_cast<unsigned>(h.compression));
  if (named != (h.compression != Compression::kDeflate))
    return fail(EINVAL, "qcow2: Compression type incompatible feature bit must ", named ? "not " : "",
                "be set");
  if (h.refcount_order > 6)
    return fail(EINVAL, "Reference count entry width too large; may not exceed 64 bits");
  if (h.crypt_method > 2) return fail(EINVAL, "Unsupported encryption method ", h.crypt_method);
  return {};
}

/// A table must lie at a cluster's start and end inside what offsets can name.
Result<> check_table(const Header& h, uint64_t offset, uint64_t bytes, uint64_t limit,
                     std::string_view what) {
  if (bytes > limit) return fail(EFBIG, what, " too large");
  if (INT64_MAX - bytes < offset || (offset & (h.cluster_bytes() - 1)) != 0)
    return fail(EINVAL, what, " offset invalid");
  return {};
}

Result<> check_tables(const Header& h) {
  if (h.refcount_table_clusters == 0) return fail(EINVAL, "Image does not contain a reference count table");
  TRY(check_table(h, h.refcount_table_offset, uint64_t{h.refcount_table_clusters} << h.cluster_bits,
                  kMaxRefcountTableBytes, "Reference count table"));
  if (h.snapshots > kMaxSnapshots) return fail(EFBIG, "Snapshot table too large");
  TRY(check_table(h, h.snapshots_offset, uint64_t{h.snapshots} * 40, kMaxSnapshotTableBytes,
                  "Snapshot table"));
  TRY(check_table(h, h.l1_offset, uint64_t{h.l1_entries} * 8, kMaxL1Bytes, "Active L1 table"));
  const uint64_t needed = (h.virtual_bytes + h.l2_span() - 1) / h.l2_span();
  if (h.virtual_bytes > INT64_MAX - 65536 || needed > INT32_MAX / 8) return fail(EFBIG, "Image is too big");
  if (h.l1_entries < needed) return fail(EINVAL, "L1 table is too small");
  return {};
}

}  // namespace

Result<uint32_t> header_cluster_bits(std::span<const uint8_t> head) {
  if (head.size() < 24 || load_be<uint32_t>(&head[0]) != kMagic)
    return fail(EINVAL, "Image is not in qcow2 format");
  const auto version = load_be<uint32_t>(&head[4]);
  if (version < 2 || version > 3) return fail(ENOTSUP, "Unsupported qcow2 version ", version);
  const auto bits = load_be<uint32_t>(&head[20]);
  if (bits < kMinClusterBits || bits > kMaxClusterBits)
    return fail(EINVAL, "Unsupported cluster size: 2^", bits);
  return bits;
}

Result<Header> parse_header(std::span<const uint8_t> first) {
  Header h;
  h.cluster_bits = TRY(header_cluster_bits(first));
  h.version = load_be<uint32_t>(&first[4]);
  if (first.size() < (h.version >= 3 ? kHeaderBytesOwn : kHeaderBytesV2))
    return fail(EINVAL, "Could not read qcow2 header");
  h.virtual_bytes = load_be<uint64_t>(&first[24]);
  h.crypt_method = load_be<uint32_t>(&first[32]);
  h.l1_entries = load_be<uint32_t>(&first[36]);
  h.l1_offset = load_be<uint64_t>(&first[40]);
  h.refcount_table_offset = load_be<uint64_t>(&first[48]);
  h.refcount_table_clusters = load_be<uint32_t>(&first[56]);
  h.snapshots = load_be<uint32_t>(&first[60]);
  h.snapshots_offset = load_be<uint64_t>(&first[64]);
  TRY(parse_v3_fields(h, first));
  const auto backing_offset = load_be<uint64_t>(&first[8]);
  if (backing_offset > h.cluster_bytes()) return fail(EINVAL, "Invalid backing file offset");
  const uint64_t end =
      std::min<uint64_t>(backing_offset != 0 ? backing_offset : h.cluster_bytes(), first.size());
  std::span<const uint8_t> feature_names;
  TRY(parse_extensions(h, first, end, feature_names));
  TRY(check_features(h, feature_names));
  TRY(parse_backing_name(h, first));
  TRY(check_tables(h));
  return h;
}

namespace {

class HeaderWriter {
 public:
  explicit HeaderWriter(const Header& h) : h_(h), out_(h.version >= 3 ? fixed_bytes() : kHeaderBytesV2) {}

  Result<std::vector<uint8_t>> run() {
    fixed_fields();
    if (!h_.backing_format.empty()) extension_text(extension::kBackingFormat, h_.backing_format);
    if (h_.has_data_file() && !h_.data_file.empty()) extension_text(extension::kDataFile, h_.data_file);
    if (h_.encryption) crypto();
    if (h_.version >= 3) feature_names();
    if (h_.bitmaps) bitmaps();
    for (const UnknownExtension& e : h_.unknown_extensions) extension(e.type, e.data);
    extension(extension::kEnd, {});
    if (!h_.backing_file.empty()) {
      store_be<uint64_t>(&out_[8], out_.size());
      store_be<uint32_t>(&out_[16], static_cast<uint32_t>(h_.backing_file.size()));
      out_.insert(out_.end(), h_.backing_file.begin(), h_.backing_file.end());
    }
    if (out_.size() > h_.cluster_bytes()) return fail(ENOSPC, "qcow2 header exceeds cluster size");
    return std::move(out_);
  }

 private:
  size_t fixed_bytes() const { return kHeaderBytesOwn + h_.unknown_fields.size(); }
  void fixed_fields() {
    store_be<uint32_t>(&out_[0], kMagic);
    store_be<uint32_t>(&out_[4], h_.version);
    store_be<uint32_t>(&out_[20], h_.cluster_bits);
    store_be<uint64_t>(&out_[24], h_.virtual_bytes);
    store_be<uint32_t>(&out_[32], h_.crypt_method);
    store_be<uint32_t>(&out_[36], h_.l1_entries);
    store_be<uint64_t>(&out_[40], h_.l1_offset);
    store_be<uint64_t>(&out_[48], h_.refcount_table_offset);
    store_be<uint32_t>(&out_[56], h_.refcount_table_clusters);
    store_be<uint32_t>(&out_[60], h_.snapshots);
    store_be<uint64_t>(&out_[64], h_.snapshots_offset);
    if (h_.version < 3) return;
    store_be<uint64_t>(&out_[72], h_.incompatible);
    store_be<uint64_t>(&out_[80], h_.compatible);
    store_be<uint64_t>(&out_[88], h_.autoclear);
    store_be<uint32_t>(&out_[96], h_.refcount_order);
    store_be<uint32_t>(&out_[100], static_cast<uint32_t>(fixed_bytes()));
    out_[104] = static_cast<uint8_t>(h_.compression);
    std::ranges::copy(h_.unknown_fields, out_.begin() + kHeaderBytesOwn);
  }
  void extension(uint32_t type, std::span<const uint8_t> data) {
    const size_t at = out_.size();
    out_.resize(at + 8 + ((data.size() + 7) & ~size_t{7}));
    store_be<uint32_t>(&out_[at], type);
    store_be<uint32_t>(&out_[at + 4], static_cast<uint32_t>(data.size()));
    std::ranges::copy(data, out_.begin() + static_cast<ptrdiff_t>(at) + 8);
  }
  void extension_text(uint32_t type, std::string_view text) {
    extension(type, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  void crypto() {
    uint8_t data[16];
    store_be<uint64_t>(&data[0], h_.encryption->first);
    store_be<uint64_t>(&data[8], h_.encryption->second);
    extension(extension::kEncryption, data);
  }
  void feature_names() {
    std::vector<uint8_t> table;
    for (const FeatureName& f : kFeatureNames) {
      const size_t at = table.size();
      table.resize(at + kFeatureNameBytes);
      table[at] = f.type;
      table[at + 1] = f.bit;
      std::ranges::copy(f.name, table.begin() + static_cast<ptrdiff_t>(at) + 2);
    }
    // Where the names would leave no room for the backing file's, they stay away.
    if (out_.size() + table.size() + 64 + h_.backing_file.size() <= h_.cluster_bytes())
      extension(extension::kFeatureNames, table);
  }
  void bitmaps() {
    uint8_t data[24] = {};
    store_be<uint32_t>(&data[0], h_.bitmaps->count);
    store_be<uint64_t>(&data[8], h_.bitmaps->directory_bytes);
    store_be<uint64_t>(&data[16], h_.bitmaps->directory_offset);
    extension(extension::kBitmaps, data);
  }
  const Header& h_;
  std::vector<uint8_t> out_;
};

/// Bits of a compressed entry's sector count.
uint32_t compressed_size_bits(uint32_t cluster_bits) {
  return cluster_bits - 8;
}

}  // namespace

Result<std::vector<uint8_t>> serialize_header(const Header& h) {
  return HeaderWriter(h).run();
}

CompressedExtent compressed_extent(uint64_t l2_entry, uint32_t cluster_bits) {
  const uint32_t shift = 62 - compressed_size_bits(cluster_bits);
  const uint64_t offset = l2_entry & ((uint64_t{1} << shift) - 1);
  const uint64_t sectors = ((l2_entry & ~(kCopied | kCompressed)) >> shift) + 1;
  return {offset, sectors * 512 - (offset & 511)};
}

uint64_t compressed_entry(uint64_t offset, uint64_t bytes, uint32_t cluster_bits) {
  const uint32_t shift = 62 - compressed_size_bits(cluster_bits);
  const uint64_t more_sectors = (offset + bytes - 1) / 512 - offset / 512;
  return kCompressed | more_sectors << shift | offset;
}

uint64_t get_refcount(const uint8_t* block, uint64_t index, uint32_t order) {
  switch (order) {
    case 3:
      return block[index];
    case 4:
      return load_be<uint16_t>(block + index * 2);
    case 5:
      return load_be<uint32_t>(block + index * 4);
    case 6:
      return load_be<uint64_t>(block + index * 8);
    default: {
      const uint32_t bits = 1u << order;
      const uint32_t per_byte = 8 / bits;
      return (block[index / per_byte] >> (index % per_byte * bits)) & ((1u << bits) - 1);
    }
  }
}

void set_refcount(uint8_t* block, uint64_t index, uint32_t order, uint64_t value) {
  switch (order) {
    case 3:
      block[index] = static_cast<uint8_t>(value);
      return;
    case 4:
      store_be(block + index * 2, static_cast<uint16_t>(value));
      return;
    case 5:
      store_be(block + index * 4, static_cast<uint32_t>(value));
      return;
    case 6:
      store_be(block + index * 8, value);
      return;
    default: {
      const uint32_t bits = 1u << order;
      const uint32_t per_byte = 8 / bits;
      const auto shift = static_cast<uint32_t>(index % per_byte * bits);
      uint8_t& byte = block[index / per_byte];
      byte = static_cast<uint8_t>((byte & ~(((1u << bits) - 1) << shift)) | (value << shift));
    }
  }
}

}  // namespace rhea::qcow2
