// The qcow2 image format as it lies on disk: header, extensions, table entries. Names and numbers follow the
// published specification "qcow2 image format" (docs/interop of its project), version 2 and 3.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "util/result.h"

namespace rhea::qcow2 {

inline constexpr uint32_t kMagic = 0x514649fb;  ///< "QFI\xfb"
inline constexpr uint32_t kHeaderBytesV2 = 72;
inline constexpr uint32_t kHeaderBytesV3 = 104;   ///< at least
inline constexpr uint32_t kHeaderBytesOwn = 112;  ///< what this program writes for version 3

inline constexpr uint32_t kMinClusterBits = 9;
inline constexpr uint32_t kMaxClusterBits = 21;
inline constexpr uint32_t kMinExtendedL2ClusterBits = 14;
inline constexpr uint64_t kMaxL1Bytes = 32u << 20;
inline constexpr uint64_t kMaxRefcountTableBytes = 8u << 20;
inline constexpr uint32_t kMaxSnapshots = 65536;
inline constexpr uint64_t kMaxSnapshotTableBytes = uint64_t{1024} * kMaxSnapshots;
inline constexpr uint32_t kMaxBackingNameBytes = 1023;

// Header bits. Incompatible: an image with an unknown one cannot be opened.
inline constexpr uint64_t kIncompatDirty = 1;        ///< refcounts may be wrong
inline constexpr uint64_t kIncompatCorrupt = 2;      ///< not to be written
inline constexpr uint64_t kIncompatDataFile = 4;     ///< guest data in another file
inline constexpr uint64_t kIncompatCompression = 8;  ///< compression type is not deflate
inline constexpr uint64_t kIncompatExtendedL2 = 16;  ///< subclusters
inline constexpr uint64_t kIncompatKnown = 31;
inline constexpr uint64_t kCompatLazyRefcounts = 1;
inline constexpr uint64_t kAutoclearBitmaps = 1;
inline constexpr uint64_t kAutoclearRawDataFile = 2;
inline constexpr uint64_t kAutoclearKnown = 3;

enum class Compression : uint8_t { kDeflate = 0, kZstd = 1 };
/// "zlib" or "zstd".
std::string_view compression_name(Compression c);

namespace extension {
inline constexpr uint32_t kEnd = 0;
inline constexpr uint32_t kBackingFormat = 0xe2792aca;
inline constexpr uint32_t kFeatureNames = 0x6803f857;
inline constexpr uint32_t kBitmaps = 0x23852875;
inline constexpr uint32_t kEncryption = 0x0537be77;
inline constexpr uint32_t kDataFile = 0x44415441;
}  // namespace extension

// L1, L2 and refcount table entries.
inline constexpr uint64_t kCopied = uint64_t{1} << 63;  ///< exactly one reference: may be written in place
inline constexpr uint64_t kCompressed = uint64_t{1} << 62;  ///< L2
inline constexpr uint64_t kZero = 1;                        ///< L2, version 3: reads as zeroes
inline constexpr uint64_t kL1OffsetMask = 0x00fffffffffffe00;
inline constexpr uint64_t kL2OffsetMask = 0x00fffffffffffe00;
inline constexpr uint64_t kRefcountTableOffsetMask = 0xfffffffffffffe00;
inline constexpr uint64_t kL1ReservedMask = 0x7f000000000001ff;
inline constexpr uint64_t kL2ReservedMask = 0x3f000000000001fe;

inline constexpr uint32_t kSubclusters = 32;  ///< in a cluster with extended L2 entries

/// Where the image's bitmap directory is (header extension kBitmaps).
struct BitmapsExtension {
  uint32_t count = 0;
  uint64_t directory_bytes = 0;
  uint64_t directory_offset = 0;
};

struct UnknownExtension {
  uint32_t type;
  std::vector<uint8_t> data;
};

/// The header and its extensions. Offsets and sizes in bytes unless said otherwise.
struct Header {
  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint64_t virtual_bytes = 0;
  uint32_t crypt_method = 0;  ///< 0 none, 1 AES, 2 LUKS
  uint32_t l1_entries = 0;
  uint64_t l1_offset = 0;
  uint64_t refcount_table_offset = 0;
  uint32_t refcount_table_clusters = 0;
  uint32_t snapshots = 0;
  uint64_t snapshots_offset = 0;
  uint64_t incompatible = 0, compatible = 0, autoclear = 0;
  uint32_t refcount_order = 4;  ///< a refcount has 2^order bits
  uint32_t header_bytes = kHeaderBytesOwn;
  Compression compression = Compression::kDeflate;
  std::vector<uint8_t> unknown_fields;  ///< what follows the fields known here, up to header_bytes
  std::string backing_file;
  std::string backing_format;
  std::string data_file;
  bool has_feature_names = false;
  std::optional<BitmapsExtension> bitmaps;
  std::optional<std::pair<uint64_t, uint64_t>> encryption;  ///< offset and length of the LUKS header
  std::vector<UnknownExtension> unknown_extensions;

  uint64_t cluster_bytes() const { return uint64_t{1} << cluster_bits; }
  // Requests ask for some of these while others of them come and go.
  bool has_incompatible(uint64_t bits) const {
    return (__atomic_load_n(&incompatible, __ATOMIC_RELAXED) & bits) != 0;
  }
  void set_incompatible(uint64_t bits) { __atomic_fetch_or(&incompatible, bits, __ATOMIC_RELAXED); }
  void clear_incompatible(uint64_t bits) { __atomic_fetch_and(&incompatible, ~bits, __ATOMIC_RELAXED); }
  bool extended_l2() const { return has_incompatible(kIncompatExtendedL2); }
  bool has_data_file() const { return has_incompatible(kIncompatDataFile); }
  uint32_t l2_entry_bytes() const { return extended_l2() ? 16 : 8; }
  uint32_t subclusters() const { return extended_l2() ? kSubclusters : 1; }
  uint64_t subcluster_bytes() const { return cluster_bytes() / subclusters(); }
  uint64_t l2_entries() const { return cluster_bytes() / l2_entry_bytes(); }
  /// Guest bytes that one L2 table maps.
  uint64_t l2_span() const { return l2_entries() << cluster_bits; }
  uint64_t refcounts_per_block() const { return (cluster_bytes() * 8) >> refcount_order; }
  uint64_t max_refcount() const {
    return refcount_order == 6 ? UINT64_MAX : (uint64_t{1} << (1u << refcount_order)) - 1;
  }
};

/// Reads a header. `first` holds the image from its start: its first cluster, or as much as the file has
/// (see header_cluster_bits()). Everything that can be told from the header alone is checked.
Result<Header> parse_header(std::span<const uint8_t> first);

/// cluster_bits of the image that starts with `head` (at least 24 bytes), checked.
Result<uint32_t> header_cluster_bits(std::span<const uint8_t> head);

/// The first cluster's content up to the end of the backing file name. Fails if it does not fit in one
/// cluster.
Result<std::vector<uint8_t>> serialize_header(const Header& h);

/// The guest's cluster at a compressed L2 entry: where its bytes start and how many there may be at most.
struct CompressedExtent {
  uint64_t offset;
  uint64_t bytes;
};
CompressedExtent compressed_extent(uint64_t l2_entry, uint32_t cluster_bits);
/// The entry for `bytes` compressed bytes at `offset`.
uint64_t compressed_entry(uint64_t offset, uint64_t bytes, uint32_t cluster_bits);

/// Refcount `index` of a block whose entries have 2^order bits.
uint64_t get_refcount(const uint8_t* block, uint64_t index, uint32_t order);
void set_refcount(uint8_t* block, uint64_t index, uint32_t order, uint64_t value);

}  // namespace rhea::qcow2
