#include "block/drivers/qcow2/create.h"

#include <bit>

#include "block/graph/aligned_buffer.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

Result<> check_create_options(const CreateOptions& o) {
  if (o.virtual_bytes % kSectorBytes != 0)
    return fail(EINVAL, "Image size must be a multiple of ", kSectorBytes, " bytes");
  const uint64_t least =
      o.extended_l2 ? uint64_t{1} << kMinExtendedL2ClusterBits : uint64_t{1} << kMinClusterBits;
  if (!std::has_single_bit(o.cluster_bytes) || o.cluster_bytes < (uint64_t{1} << kMinClusterBits) ||
      o.cluster_bytes > (uint64_t{1} << kMaxClusterBits))
    return fail(EINVAL, "Cluster size must be a power of two between ", uint64_t{1} << kMinClusterBits,
                " and ", (uint64_t{1} << kMaxClusterBits) / 1024, "k");
  if (o.extended_l2 && o.version < 3)
    return fail(EINVAL,
                "Extended L2 entries are only supported with compatibility level 1.1 and above (use "
                "version=v3 or greater)");
  if (o.cluster_bytes < least)
    return fail(EINVAL, "Extended L2 entries are only supported with cluster sizes of at least ", least,
                " bytes");
  if (!std::has_single_bit(o.refcount_bits) || o.refcount_bits > 64)
    return fail(EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
  if (o.version < 3 && o.refcount_bits != 16)
    return fail(EINVAL,
                "Different refcount widths than 16 bits require compatibility level 1.1 or above (use "
                "version=v3 or greater)");
  if (o.version < 3 && o.lazy_refcounts)
    return fail(
        EINVAL,
        "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)");
  if (o.version < 3 && o.compression != Compression::kDeflate)
    return fail(EINVAL,
                "Non-zlib compression type is only supported with compatibility level 1.1 and above (use "
                "version=v3 or greater)");
  if (o.version < 3 && o.has_data_file)
    return fail(EINVAL,
                "External data files are only supported with compatibility level 1.1 and above (use "
                "version=v3 or greater)");
  if (o.data_file_raw && !o.has_data_file) return fail(EINVAL, "data-file-raw requires data-file");
  if (o.data_file_raw && !o.backing_file.empty())
    return fail(EINVAL, "Backing file and data-file-raw cannot be used at the same time");
  if (o.backing_file.size() > kMaxBackingNameBytes) return fail(EINVAL, "Backing file name too long");
  return {};
}

namespace {

/// Where everything lies in a new image: header, refcount table, refcount blocks, L1 table.
struct Layout {
  uint64_t table_clusters = 1, blocks = 1, l1_clusters = 0;
  uint64_t total() const { return 1 + table_clusters + blocks + l1_clusters; }
};

Layout lay_out(const Header& h) {
  Layout l;
  l.l1_clusters = (uint64_t{h.l1_entries} * 8 + h.cluster_bytes() - 1) >> h.cluster_bits;
  for (;;) {
    const uint64_t blocks = (l.total() + h.refcounts_per_block() - 1) / h.refcounts_per_block();
    const uint64_t tables = (blocks * 8 + h.cluster_bytes() - 1) >> h.cluster_bits;
    if (blocks <= l.blocks && tables <= l.table_clusters) return l;
    l.blocks = std::max(l.blocks, blocks);
    l.table_clusters = std::max(l.table_clusters, tables);
  }
}

Result<Header> new_header(const CreateOptions& o) {
  TRY(check_create_options(o));
  Header h;
  h.version = o.version;
  h.cluster_bits = static_cast<uint32_t>(std::countr_zero(o.cluster_bytes));
  h.virtual_bytes = o.virtual_bytes;
  h.refcount_order = static_cast<uint32_t>(std::countr_zero(o.refcount_bits));
  h.compression = o.compression;
  if (o.extended_l2) h.incompatible |= kIncompatExtendedL2;
  if (o.has_data_file) h.incompatible |= kIncompatDataFile;
  if (o.data_file_raw) h.autoclear |= kAutoclearRawDataFile;
  if (o.compression != Compression::kDeflate) h.incompatible |= kIncompatCompression;
  if (o.lazy_refcounts) h.compatible |= kCompatLazyRefcounts;
  h.backing_file = o.backing_file;
  h.backing_format = o.backing_file.empty() ? std::string() : o.backing_format;
  h.data_file = o.data_file;
  const uint64_t entries = (o.virtual_bytes + h.l2_span() - 1) / h.l2_span();
  if (entries * 8 > kMaxL1Bytes)
    return fail(EFBIG,
                "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
  h.l1_entries = static_cast<uint32_t>(entries);
  return h;
}

CoResult<> co_write_bytes(BlockBackend& file, uint64_t offset, std::vector<uint8_t> bytes) {
  const IoVector view(bytes.data(), bytes.size());
  co_return co_await file.co_pwritev(ByteRange(offset, bytes.size()), view);
}

}  // namespace

CoResult<> co_create_image(BlockBackend& file, CreateOptions options) {
  Header h = co_await or_return(new_header(options));
  const Layout l = lay_out(h);
  const uint64_t size = h.cluster_bytes(), blocks_at = size * (1 + l.table_clusters);
  h.refcount_table_offset = size;
  h.refcount_table_clusters = static_cast<uint32_t>(l.table_clusters);
  h.l1_offset = blocks_at + size * l.blocks;
  std::vector<uint8_t> header = co_await or_return(serialize_header(h));
  // Empty first, so that all that is not written below reads as zeroes; a device cannot be shortened.
  Result<> emptied = co_await file.co_truncate(0);
  if (!emptied && emptied.error().errnum() != ENOTSUP) co_return emptied;
  const uint64_t all = size * l.total();
  if (co_await or_return(file.getlength()) != 0)
    co_await or_return(co_await file.co_pwrite_zeroes(ByteRange(0, all), false));
  else
    co_await or_return(co_await file.co_truncate(all));
  std::vector<uint8_t> table(l.blocks * 8);
  for (uint64_t b = 0; b < l.blocks; ++b) store_be<uint64_t>(&table[b * 8], blocks_at + b * size);
  co_await or_return(co_await co_write_bytes(file, size, std::move(table)));
  for (uint64_t b = 0; b < l.blocks; ++b) {
    std::vector<uint8_t> block(size);
    const uint64_t first = b * h.refcounts_per_block();
    for (uint64_t i = 0; i < h.refcounts_per_block() && first + i < l.total(); ++i)
      set_refcount(block.data(), i, h.refcount_order, 1);
    co_await or_return(co_await co_write_bytes(file, blocks_at + b * size, std::move(block)));
  }
  co_await or_return(co_await file.co_flush());
  header.resize(std::max<size_t>(header.size(), 512));
  co_await or_return(co_await co_write_bytes(file, 0, std::move(header)));
  co_return co_await file.co_flush();
}

}  // namespace rhea::qcow2
