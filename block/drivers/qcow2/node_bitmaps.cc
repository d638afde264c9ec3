// The qcow2 node's dirty bitmaps: loaded at open, marked as in use before the first write, stored at
// close.
#include <algorithm>
#include <bit>

#include "block/drivers/qcow2/node.h"
#include "block/graph/block_graph.h"

namespace rhea::qcow2 {

CoResult<> Qcow2Node::co_load_bitmaps() {
  stored_bitmaps_ = co_await or_return(co_await co_read_bitmaps(image_));
  uint64_t all_bytes = 0;
  for (const StoredBitmap& s : stored_bitmaps_) {
    const uint64_t disk = (image_.header().virtual_bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
    std::shared_ptr<DirtyBitmap> bitmap =
        co_await or_return(DirtyBitmap::create(s.name, disk, uint64_t{1} << s.granularity_bits));
    bitmap->set_persistent(true);
    bitmap->set_read_only(read_only());
    constexpr uint64_t kMostInMemory = uint64_t{4} << 30;
    all_bytes += bitmap->stored_bytes();
    if (all_bytes > kMostInMemory) co_return fail(EFBIG, "The image's bitmaps are too large");
    bitmap->set_enabled(false);
    if (s.in_use()) {
      bitmap->set_inconsistent();
    } else {
      Result<> loaded = co_await co_load_bitmap(image_, s, *bitmap);
      if (!loaded)
        co_return Failure(std::move(loaded).error().prepend(
            str_cat("Could not read bitmap '", s.name, "' from image '", name(), "': ")));
      bitmap->set_enabled((s.flags & kBitmapAuto) != 0);
    }
    bitmap->set_unmodified();
    add_bitmap(std::move(bitmap));
  }
  bitmaps_unmarked_ = image_.writable() && !stored_bitmaps_.empty();
  co_return Result<>();
}

std::vector<std::shared_ptr<DirtyBitmap>> Qcow2Node::persistent_bitmaps() const {
  std::vector<std::shared_ptr<DirtyBitmap>> out;
  for (const auto& b : bitmaps().all())
    if (b->persistent()) out.push_back(b);
  return out;
}

/// From here on what the image says of its bitmaps is old.
CoResult<> Qcow2Node::co_mark_bitmaps() {
  CoMutex::Guard guard = co_await bitmaps_lock_.co_lock();
  std::vector<StoredBitmap> marked = stored_bitmaps_;
  bool any = false;
  for (StoredBitmap& s : marked) {
    any |= !s.in_use();
    s.flags |= kBitmapInUse;
  }
  if (any) {
    Result<> written = co_await co_write_bitmap_flags(image_, marked);
    if (!written) co_return Failure(std::move(written).error().prepend("Can't mark the bitmaps as in use: "));
    std::lock_guard lock(image_.mutex());
    stored_bitmaps_ = std::move(marked);
  }
  bitmaps_unmarked_ = false;
  co_return Result<>();
}

/// Nothing is in flight.
CoResult<> Qcow2Node::co_store_bitmaps() {
  std::vector<StoredBitmap> next, gone;
  std::vector<std::string> kept;
  const std::vector<std::shared_ptr<DirtyBitmap>> all = persistent_bitmaps();
  const bool same = std::ranges::none_of(all, [](const auto& b) { return b->modified(); }) &&
                    all.size() == stored_bitmaps_.size();
  if (same && bitmaps_unmarked_) co_return Result<>();  // the image says so already
  for (const auto& b : all) {
    const auto old = std::ranges::find(stored_bitmaps_, b->name(), &StoredBitmap::name);
    if (b->inconsistent()) {
      if (old == stored_bitmaps_.end()) continue;
      next.push_back(*old);
      kept.push_back(b->name());
      continue;
    }
    StoredBitmap s;
    s.name = b->name();
    s.granularity_bits = static_cast<uint32_t>(std::countr_zero(b->granularity()));
    s.flags = b->enabled() ? kBitmapAuto : 0;
    if (old != stored_bitmaps_.end()) s.extra = old->extra;
    if (!s.extra.empty()) s.flags |= kBitmapExtraCompatible;
    Result<> stored = co_await co_store_bitmap(image_, *b, s);
    if (!stored)
      co_return Failure(
          std::move(stored).error().prepend(str_cat("Lost persistent bitmaps during inactivation of node '",
                                                    name(), "': Failed to store bitmap '", s.name, "': ")));
    next.push_back(std::move(s));
  }
  if (next.empty() && stored_bitmaps_.empty()) co_return Result<>();
  for (const StoredBitmap& s : stored_bitmaps_)
    if (std::ranges::find(kept, s.name) == kept.end()) gone.push_back(s);
  Result<> done = co_await co_replace_bitmaps(image_, next, gone);
  if (!done)
    co_return Failure(std::move(done).error().prepend(
        str_cat("Lost persistent bitmaps during inactivation of node '", name(), "': ")));
  stored_bitmaps_ = std::move(next);
  for (const auto& b : all) b->set_unmodified();
  co_return Result<>();
}

CoResult<> Qcow2Node::co_check_new_bitmap(const std::string& bitmap, uint64_t granularity) {
  const auto refuse = [&](int errnum, const auto&... why) {
    return fail(errnum, "Can't make bitmap '", bitmap, "' persistent in '", name(), "': ", why...);
  };
  if (image_.header().version < 3) co_return refuse(ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files");
  if (bitmap.size() > DirtyBitmap::kMaxName)
    co_return refuse(EINVAL, "Name length exceeds maximum (", DirtyBitmap::kMaxName, " characters)");
  if (granularity > DirtyBitmap::kMaxGranularity)
    co_return refuse(EINVAL, "Granularity exceeds maximum (", DirtyBitmap::kMaxGranularity, " bytes)");
  if (granularity < DirtyBitmap::kMinGranularity)
    co_return refuse(EINVAL, "Granularity is under minimum (", DirtyBitmap::kMinGranularity, " bytes)");
  if ((total_bytes() + granularity - 1) / granularity > kMaxBitmapBytes * 8)
    co_return refuse(EINVAL, "Too much space will be occupied by the bitmap. Use larger granularity");
  if (persistent_bitmaps().size() >= kMaxBitmaps)
    co_return refuse(EOVERFLOW, "Maximum number of persistent bitmaps is already reached");
  co_return Result<>();
}

CoResult<> Qcow2Node::co_remove_stored_bitmap(const std::string& bitmap) {
  const auto found = std::ranges::find(stored_bitmaps_, bitmap, &StoredBitmap::name);
  if (found == stored_bitmaps_.end()) co_return Result<>();
  std::vector<StoredBitmap> next = stored_bitmaps_;
  std::erase_if(next, [&](const StoredBitmap& s) { return s.name == bitmap; });
  const std::vector<StoredBitmap> gone{*found};
  co_await or_return(co_await co_replace_bitmaps(image_, next, gone));
  stored_bitmaps_ = std::move(next);
  co_return Result<>();
}

/// What `info` shows of them; null without any.
Json Qcow2Node::bitmap_list() {
  std::lock_guard lock(image_.mutex());
  if (stored_bitmaps_.empty()) return {};
  Json list = Json::array();
  for (const StoredBitmap& s : stored_bitmaps_) {
    Json flags = Json::array();
    if (s.in_use()) flags.push_back("in-use");
    if ((s.flags & kBitmapAuto) != 0) flags.push_back("auto");
    Json item = Json::object();
    item.set("flags", std::move(flags));
    item.set("name", s.name);
    item.set("granularity", uint64_t{1} << s.granularity_bits);
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace rhea::qcow2
