// Dirty bitmaps kept in the image: the directory that lists them, their tables, their bits.
#pragma once

#include "block/drivers/qcow2/image.h"
#include "block/graph/dirty_bitmap.h"

namespace rhea::qcow2 {

inline constexpr uint32_t kBitmapInUse = 1;  ///< the bits on disk are old: they are in somebody's memory
inline constexpr uint32_t kBitmapAuto = 2;   ///< records writes
inline constexpr uint32_t kBitmapExtraCompatible = 4;
inline constexpr uint32_t kMaxBitmaps = 65535;
inline constexpr uint64_t kMaxBitmapBytes = uint64_t{1} << 29;  ///< the bits of one
inline constexpr uint32_t kMaxBitmapTableEntries = 0x8000000;
inline constexpr uint32_t kMinBitmapGranularityBits = 9, kMaxBitmapGranularityBits = 31;

/// An entry of the bitmap directory.
struct StoredBitmap {
  std::string name;
  uint64_t table_offset = 0;
  uint32_t table_entries = 0;
  uint32_t flags = 0;
  uint32_t granularity_bits = 16;
  std::vector<uint8_t> extra;  ///< what newer programs added
  bool in_use() const { return (flags & kBitmapInUse) != 0; }
};

/// The image's directory; empty if it has none. EINVAL if it is bent.
CoResult<std::vector<StoredBitmap>> co_read_bitmaps(Image& image);
/// Loads the bits of `stored` into `bitmap`.
CoResult<> co_load_bitmap(Image& image, const StoredBitmap& stored, DirtyBitmap& bitmap);
/// Changes nothing but the flags; all entries are as long as before. A crash leaves an image without valid
/// bitmaps at worst.
CoResult<> co_write_bitmap_flags(Image& image, const std::vector<StoredBitmap>& all);
/// Writes bits and table of a bitmap to a new place and says where in `stored`; nothing refers to it yet.
CoResult<> co_store_bitmap(Image& image, const DirtyBitmap& bitmap, StoredBitmap& stored);
/// `all` becomes the directory, durably; `gone` are entries whose tables and bits nobody refers to any more.
CoResult<> co_replace_bitmaps(Image& image, const std::vector<StoredBitmap>& all,
                              const std::vector<StoredBitmap>& gone);

/// Clusters' bytes that the persistent ones of `bitmaps` will take in an image.
uint64_t measure_bitmaps(const DirtyBitmapSet& bitmaps, uint64_t cluster_bytes);

}  // namespace rhea::qcow2
