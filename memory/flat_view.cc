// Rendering: from the tree of regions to the ranges that are visible.
#include <algorithm>

#include "memory/memory_internal.h"

namespace rhea {

namespace {

/// Deeper trees are taken for an alias that shows itself.
constexpr int kFlatViewMaxDepth = 64;

struct Span {
  Wide start, end;
  bool empty() const { return start >= end; }
  Span clipped(Span to) const { return {std::max(start, to.start), std::min(end, to.end)}; }
};

class Renderer {
 public:
  /// Adds what `region`, placed with its first byte at `base`, shows within `clip` and nothing above it
  /// shows.
  void render(MemoryRegion& region, Wide base, Span clip, bool readonly, int depth) {
    if (!region.enabled() || depth > kFlatViewMaxDepth) return;
    clip = clip.clipped({base, base + wide_size(region.size())});
    if (clip.empty()) return;
    readonly |= region.readonly();
    if (MemoryRegion* target = region.alias_target()) {
      render(*target, base - region.alias_offset(), clip, readonly, depth + 1);
      return;
    }
    for (MemoryRegion* sub : region.subregions())
      render(*sub, base + sub->offset_in_container(), clip, readonly, depth + 1);
    if (region.kind() != MemoryRegion::Kind::kContainer) fill(region, base, clip, readonly);
  }

  FlatView finish() {
    merge();
    for (const FlatRange& r : view_.ranges) {
      if (r.ram == nullptr) continue;
      const auto& block = r.region->shared_block();
      if (std::find(view_.blocks.begin(), view_.blocks.end(), block) == view_.blocks.end())
        view_.blocks.push_back(block);
    }
    return std::move(view_);
  }

 private:
  /// Puts `region` into the gaps that `clip` still has.
  void fill(MemoryRegion& region, Wide base, Span clip, bool readonly) {
    auto& ranges = view_.ranges;
    Wide at = clip.start;
    auto it = std::lower_bound(ranges.begin(), ranges.end(), at,
                               [](const FlatRange& r, Wide v) { return Wide{r.start} + r.size <= v; });
    while (at < clip.end) {
      Wide gap_end = it == ranges.end() ? clip.end : std::min(clip.end, Wide{it->start});
      if (at < gap_end) it = std::next(ranges.insert(it, make(region, base, {at, gap_end}, readonly)));
      if (it == ranges.end()) return;
      at = std::max(at, Wide{it->start} + it->size);
      ++it;
    }
  }

  static FlatRange make(MemoryRegion& region, Wide base, Span span, bool readonly) {
    Wide size = std::min(span.end - span.start, Wide{UINT64_MAX});
    bool rom = region.kind() == MemoryRegion::Kind::kRom;
    return {.start = static_cast<uint64_t>(span.start),
            .size = static_cast<uint64_t>(size),
            .region = &region,
            .region_offset = static_cast<uint64_t>(span.start - base),
            .readonly = readonly || rom,
            .ram = region.ram_block(),
            .lockless = region.rules().lockless};
  }

  /// Joins neighbours that show one region without a break.
  void merge() {
    std::vector<FlatRange> joined;
    for (const FlatRange& r : view_.ranges) {
      if (!joined.empty() && continues(joined.back(), r))
        joined.back().size += r.size;
      else
        joined.push_back(r);
    }
    view_.ranges = std::move(joined);
  }

  static bool continues(const FlatRange& a, const FlatRange& b) {
    return a.region == b.region && a.readonly == b.readonly && a.start + a.size == b.start &&
           a.region_offset + a.size == b.region_offset && a.size + b.size > a.size;
  }

  FlatView view_;
};

}  // namespace

FlatView render_flat_view(MemoryRegion& root) {
  Renderer renderer;
  renderer.render(root, 0, {0, Wide{1} << 64}, false, 0);
  return renderer.finish();
}

const FlatRange* FlatView::find(GuestAddr addr) const {
  auto it = std::upper_bound(ranges.begin(), ranges.end(), addr,
                             [](GuestAddr v, const FlatRange& r) { return v < r.start; });
  if (it == ranges.begin()) return nullptr;
  --it;
  return addr - it->start < it->size ? &*it : nullptr;
}

}  // namespace rhea
