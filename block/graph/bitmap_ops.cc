#include "block/graph/bitmap_ops.h"

#include <algorithm>
#include <bit>

namespace rhea {

Result<> check_bitmap(const DirtyBitmap& b, uint8_t what) {
  if ((what & kNotBusy) != 0 && b.busy())
    return fail(EBUSY, "Bitmap '", b.name(), "' is currently in use by another operation and cannot be used");
  if ((what & kNotReadOnly) != 0 && b.read_only())
    return fail(EPERM, "Bitmap '", b.name(), "' is readonly and cannot be modified");
  if ((what & kConsistent) != 0 && b.inconsistent())
    return Failure(Error(EINVAL, str_cat("Bitmap '", b.name(), "' is inconsistent and cannot be used"))
                       .with_hint("Try block-dirty-bitmap-remove to delete this bitmap from disk"));
  return {};
}

CoResult<uint64_t> co_default_bitmap_granularity(BlockDriverState& node) {
  constexpr uint64_t kLeast = 4096, kMost = 65536;
  const Result<ImageDetails> details = co_await node.co_details();
  if (!details || details->cluster_bytes == 0) co_return kMost;
  co_return std::clamp(details->cluster_bytes, kLeast, kMost);
}

CoResult<std::shared_ptr<DirtyBitmap>> co_make_bitmap(BlockDriverState& node, std::string name,
                                                      uint64_t granularity, bool persistent, bool enabled) {
  if (name.empty()) co_return fail(EINVAL, "Bitmap name cannot be empty");
  if (granularity == 0) granularity = co_await or_return(co_await co_default_bitmap_granularity(node));
  if (granularity < DirtyBitmap::kMinGranularity || !std::has_single_bit(granularity))
    co_return fail(EINVAL, "Granularity must be power of 2 and at least ", DirtyBitmap::kMinGranularity);
  if (persistent) co_await or_return(co_await node.co_check_new_bitmap(name, granularity));
  if (node.bitmaps().find(name) != nullptr) co_return fail(EEXIST, "Bitmap already exists: ", name);
  if (name.size() > DirtyBitmap::kMaxName) co_return fail(EINVAL, "Bitmap name too long: ", name);
  std::shared_ptr<DirtyBitmap> bitmap =
      co_await or_return(DirtyBitmap::create(std::move(name), node.total_bytes(), granularity));
  bitmap->set_persistent(persistent);
  bitmap->set_enabled(enabled);
  co_return bitmap;
}

}  // namespace rhea
