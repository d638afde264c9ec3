// Opening a qcow2 image: its options, its header, its external data file.
#include <algorithm>

#include "block/drivers/create_options.h"
#include "block/drivers/drivers.h"
#include "block/drivers/qcow2/node.h"
#include "block/graph/block_graph.h"
#include "util/byteorder.h"

namespace rhea::qcow2 {

CoResult<Header> Qcow2Node::co_read_header() {
  const uint64_t length = file_.node().total_bytes();
  std::vector<uint8_t> head(std::min<uint64_t>(length, 512));
  const IoVector view(head.data(), head.size());
  Result<> read = co_await file_.co_preadv(ByteRange(0, head.size()), view);
  if (!read) co_return Failure(std::move(read).error().prepend("Could not read qcow2 header: "));
  const uint32_t bits = co_await or_return(header_cluster_bits(head));
  head.resize(std::min(length, uint64_t{1} << bits));
  const IoVector whole(head.data(), head.size());
  read = co_await file_.co_preadv(ByteRange(0, head.size()), whole);
  if (!read) co_return Failure(std::move(read).error().prepend("Could not read qcow2 header: "));
  co_return parse_header(head);
}

Result<ImageOptions> Qcow2Node::take_options(OptionTree& options) {
  const Header& h = image_.header();
  ImageOptions out;
  out.lazy_refcounts =
      TRY(options.take_bool("lazy-refcounts")).value_or((h.compatible & kCompatLazyRefcounts) != 0);
  if (out.lazy_refcounts && h.version < 3)
    return fail(EINVAL, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  out.discard_request = TRY(options.take_bool("pass-discard-request")).value_or(flags_.unmap);
  out.discard_snapshot = TRY(options.take_bool("pass-discard-snapshot")).value_or(true);
  out.discard_other = TRY(options.take_bool("pass-discard-other")).value_or(false);

  const auto total = TRY(options.take_size("cache-size"));
  const auto l2 = TRY(options.take_size("l2-cache-size"));
  const auto refcounts = TRY(options.take_size("refcount-cache-size"));
  const auto entry = TRY(options.take_size("l2-cache-entry-size"));
  if (total && l2 && refcounts)
    return fail(EINVAL, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
  if (total && l2 && *l2 > *total) return fail(EINVAL, "l2-cache-size may not exceed cache-size");
  if (total && refcounts && *refcounts > *total)
    return fail(EINVAL, "refcount-cache-size may not exceed cache-size");
  if (entry && (*entry < 512 || *entry > h.cluster_bytes() || (*entry & (*entry - 1)) != 0))
    return fail(EINVAL, "L2 cache entry size must be a power of two between 512 and the cluster size (",
                h.cluster_bytes(), ")");
  // By default enough for the whole image, as far as 32 MiB go; memory is taken only when tables are read.
  constexpr uint64_t kMostL2 = 32u << 20, kLeastRefcounts = 4;
  const uint64_t clusters = (h.virtual_bytes + h.cluster_bytes() - 1) >> h.cluster_bits;
  const uint64_t whole = std::max(clusters * h.l2_entry_bytes(), h.cluster_bytes());
  const uint64_t least = kLeastRefcounts * h.cluster_bytes();
  out.refcount_cache_bytes = refcounts.value_or(total && l2 ? *total - *l2 : least);
  out.l2_cache_bytes =
      l2.value_or(total ? (*total > out.refcount_cache_bytes ? *total - out.refcount_cache_bytes : 0)
                        : std::min(whole, kMostL2));
  constexpr uint64_t kMostCache = uint64_t{INT32_MAX} * 512;
  if (out.l2_cache_bytes > kMostCache) return fail(EINVAL, "L2 cache size too big");
  if (out.refcount_cache_bytes > kMostCache) return fail(EINVAL, "Refcount cache size too big");
  out.l2_slice_bytes = static_cast<uint32_t>(entry.value_or(std::min<uint64_t>(4096, h.cluster_bytes())));
  const auto interval = TRY(options.take_number("cache-clean-interval"));
  if (interval && *interval > UINT32_MAX) return fail(EINVAL, "Cache clean interval too big");
  return out;
}

CoResult<> Qcow2Node::co_open(OpenContext& ctx) {
  Header h = co_await or_return(co_await co_read_header());
  const bool writable = !flags_.read_only;
  if (h.crypt_method == 1)
    co_return Failure(
        Error(ENOSYS, "Use of AES-CBC encrypted qcow2 images is no longer supported in system emulators")
            .with_hint("You can use 'qemu-img convert' to convert your image to an alternative supported "
                       "format, such as unencrypted qcow2, or raw with the LUKS format instead.\n"));
  if (h.crypt_method != 0) co_return fail(ENOTSUP, "LUKS encryption of qcow2 images is not supported");
  if ((h.incompatible & kIncompatCorrupt) != 0 && writable)
    co_return fail(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  image_.header() = h;
  const ImageOptions options = co_await or_return(take_options(ctx.options));

  const bool wants_data_file = ctx.options.has("data-file") || ctx.options.has_below("data-file");
  if (h.has_data_file()) {
    data_ = co_await or_return(co_await ctx.co_open_child("data-file", child_role::kData, h.data_file));
    if (!data_) co_return fail(EINVAL, "'data-file' is required for this image");
  } else if (wants_data_file) {
    co_return fail(EINVAL, "'data-file' can only be set for images with an external data file");
  }
  backing_name_ = BackingName{h.backing_file, h.backing_format};
  const uint64_t unknown_autoclear = h.autoclear & ~kAutoclearKnown;
  co_await or_return(co_await image_.co_open(std::move(h), options, writable));
  if (writable && unknown_autoclear != 0) {  // what they stand for would not be kept up
    image_.header().autoclear &= kAutoclearKnown;
    co_await or_return(co_await image_.co_write_header());
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_close() {
  return image_.co_close();
}

}  // namespace rhea::qcow2

namespace rhea {

const BlockDriver kQcow2Driver = {
    .name = "qcow2",
    .supports_backing = true,
    .probe =
        [](std::span<const uint8_t> head) {
          if (head.size() < 8 || load_be<uint32_t>(&head[0]) != qcow2::kMagic) return 0;
          return load_be<uint32_t>(&head[4]) >= 2 ? 100 : 0;
        },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<qcow2::Qcow2Node>(); },
    .create_options = kQcow2CreateOptions,
    .co_create = co_create_qcow2,
};

}  // namespace rhea
