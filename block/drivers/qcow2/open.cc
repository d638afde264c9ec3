// Opening a qcow2 image: its options, its header, its external data file.
#include <algorithm>
#include <cstdio>

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

/// The option "overlap-check" and those below it: which tables no write may hit.
Result<uint32_t> Qcow2Node::take_overlap_check(OptionTree& options) {
  using Meta = Image::Meta;
  const auto bit = [](Meta m) { return 1u << static_cast<unsigned>(m); };
  static constexpr std::pair<std::string_view, Meta> kKinds[] = {
      {"main-header", Meta::kHeader},
      {"active-l1", Meta::kActiveL1},
      {"active-l2", Meta::kActiveL2},
      {"refcount-table", Meta::kRefcountTable},
      {"refcount-block", Meta::kRefcountBlock},
      {"snapshot-table", Meta::kSnapshotTable},
      {"inactive-l1", Meta::kInactiveL1},
      {"inactive-l2", Meta::kInactiveL2},
      {"bitmap-directory", Meta::kBitmapDirectory}};
  const auto own = TRY(options.take_string("overlap-check"));
  const auto below = TRY(options.take_string("overlap-check.template"));
  if (own && below && *own != *below)
    return fail(EINVAL, "Conflicting values for qcow2 options 'overlap-check' ('", *own,
                "') and 'overlap-check.template' ('", *below, "')");
  const std::string name = own ? *own : below.value_or("cached");
  // Tables whose place never changes, those that are in memory anyway, and all.
  const uint32_t constant = bit(Meta::kHeader) | bit(Meta::kActiveL1) | bit(Meta::kRefcountTable) |
                            bit(Meta::kSnapshotTable) | bit(Meta::kBitmapDirectory);
  const uint32_t cached =
      constant | bit(Meta::kActiveL2) | bit(Meta::kRefcountBlock) | bit(Meta::kInactiveL1);
  uint32_t out = 0;
  if (name == "constant")
    out = constant;
  else if (name == "cached")
    out = cached;
  else if (name == "all")
    out = cached | bit(Meta::kInactiveL2);
  else if (name != "none")
    return fail(EINVAL, "Unsupported value '", name,
                "' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, "
                "cached, all");
  for (const auto& [key, what] : kKinds)
    if (const auto on = TRY(options.take_bool(str_cat("overlap-check.", key))))
      out = *on ? out | bit(what) : out & ~bit(what);
  return out;
}

Result<ImageOptions> Qcow2Node::take_options(OptionTree& options, const OpenFlags& flags) {
  const Header& h = image_.header();
  ImageOptions out;
  out.lazy_refcounts =
      TRY(options.take_bool("lazy-refcounts")).value_or((h.compatible & kCompatLazyRefcounts) != 0);
  if (out.lazy_refcounts && h.version < 3)
    return fail(EINVAL, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  out.discard_request = TRY(options.take_bool("pass-discard-request")).value_or(flags.unmap);
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
  out.overlap_check = TRY(take_overlap_check(options));
  const Json* given = options.get("cache-clean-interval");
  const bool negative = given != nullptr && given->is_string() && given->as_string().starts_with('-');
  if (negative) return fail(EINVAL, "Cache clean interval too big");
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
  const ImageOptions options = co_await or_return(take_options(ctx.options, flags_));

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
  // Refcounts were not written when it was last used: they are made anew.
  if (writable && !flags_.for_check && (image_.header().incompatible & kIncompatDirty) != 0) {
    CheckOptions repair{true, true,
                        [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }};
    Result<CheckResult> checked = co_await co_check(std::move(repair));
    if (!checked) co_return Failure(std::move(checked).error().prepend("Could not repair dirty image: "));
    if (checked->check_errors != 0 || checked->corruptions != 0)
      co_return fail(EIO, "Could not repair dirty image: Input/output error");
  }
  if (!flags_.for_check) co_await or_return(co_await co_load_bitmaps());
  co_return Result<>();
}

CoResult<> Qcow2Node::co_reopen_prepare(OptionTree& options, const OpenFlags& flags) {
  if (!flags.read_only && (image_.header().incompatible & kIncompatCorrupt) != 0)
    co_return fail(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  if (!flags.read_only && image_.corrupt()) co_return fail(EIO, "Image '", name(), "' is corrupt");
  next_options_ = co_await or_return(take_options(options, flags));
  if (flags.read_only && image_.writable() && !image_.corrupt())
    co_await or_return(co_await co_store_bitmaps());
  co_return co_await image_.co_prepare_options(next_options_, !flags.read_only);
}

void Qcow2Node::drop_overridden(const OptionTree& given, OptionTree& old) const {
  if (given.has("overlap-check") || given.has("overlap-check.template"))
    for (const char* key : {"overlap-check", "overlap-check.template"}) old.erase(key);
  const auto set = [&](const char* key) { return given.has(key) || old.has(key); };
  if (given.has("cache-size"))
    for (const char* key : {"l2-cache-size", "refcount-cache-size"}) old.erase(key);
  else if ((given.has("l2-cache-size") || given.has("refcount-cache-size")) && set("l2-cache-size") &&
           set("refcount-cache-size"))
    old.erase("cache-size");
}

void Qcow2Node::reopen_commit() {
  const bool writable = !flags_.read_only;
  bitmaps_unmarked_ = writable && (bitmaps_unmarked_ || !image_.writable());
  image_.set_options(next_options_, writable);
  for (const auto& b : persistent_bitmaps()) b->set_read_only(!writable);
}

CoResult<> Qcow2Node::co_close() {
  Result<> stored;
  if (image_.writable() && !image_.corrupt()) stored = co_await co_store_bitmaps();
  Result<> closed = co_await image_.co_close();
  co_return stored ? closed : stored;
}

}  // namespace rhea::qcow2

namespace rhea {

const BlockDriver kQcow2Driver = {
    .name = "qcow2",
    .supports_backing = true,
    .can_compress = true,
    .any_loop = true,
    .probe =
        [](std::span<const uint8_t> head) {
          if (head.size() < 8 || load_be<uint32_t>(&head[0]) != qcow2::kMagic) return 0;
          return load_be<uint32_t>(&head[4]) >= 2 ? 100 : 0;
        },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<qcow2::Qcow2Node>(); },
    .create_options = kQcow2CreateOptions,
    .amend_options = kQcow2AmendOptions,
    .co_create = co_create_qcow2,
    .co_blockdev_create = co_blockdev_create_qcow2,
};

}  // namespace rhea
