// The texts of `info mtree`.
#include <algorithm>

#include "memory/memory_internal.h"

namespace rhea {

namespace {

constexpr int kMtreeMaxDepth = 64;

std::string addr_range(Wide start, Wide size) {
  auto first = static_cast<uint64_t>(start);
  auto last = static_cast<uint64_t>(size == 0 ? start : start + size - 1);
  return str_cat(hex(first, 16), "-", hex(last, 16));
}

const char* kind_name(const MemoryRegion& region, bool readonly) {
  switch (region.kind()) {
    case MemoryRegion::Kind::kRom:
      return region.handler() != nullptr ? "romd" : "rom";
    case MemoryRegion::Kind::kRam:
      return readonly || region.readonly() ? "rom" : "ram";
    default:
      return "i/o";
  }
}

const MemoryRegion& final_target(const MemoryRegion& region) {
  const MemoryRegion* at = &region;
  for (int depth = 0; at->alias_target() != nullptr && depth < kMtreeMaxDepth; ++depth)
    at = at->alias_target();
  return *at;
}

class TreePrinter {
 public:
  std::string text;

  void print(MemoryRegion& region, Wide base, int level) {
    if (!region.enabled() || level > kMtreeMaxDepth) return;
    text.append(static_cast<size_t>(level) * 2, ' ');
    str_append(text, addr_range(base, wide_size(region.size())), " (prio ", region.priority(), ", ",
               kind_name(final_target(region), region.readonly()), "): ");
    if (MemoryRegion* target = region.alias_target()) {
      str_append(text, "alias ", region.name(), " @", target->name(), " ",
                 addr_range(region.alias_offset(), wide_size(region.size())), "\n");
      remember(*target);
      return;
    }
    str_append(text, region.name(), "\n");
    std::vector<MemoryRegion*> subs = region.subregions();
    std::stable_sort(subs.begin(), subs.end(), [](const MemoryRegion* a, const MemoryRegion* b) {
      if (a->offset_in_container() != b->offset_in_container())
        return a->offset_in_container() < b->offset_in_container();
      return a->priority() > b->priority();
    });
    for (MemoryRegion* sub : subs) print(*sub, base + sub->offset_in_container(), level + 1);
  }

  /// The trees that aliases show, each once.
  void print_aliased() {
    for (size_t i = 0; i < aliased_.size(); ++i) {  // grows meanwhile
      MemoryRegion& region = *aliased_[i];
      str_append(text, "memory-region: ", region.name(), "\n");
      print(region, region.offset_in_container(), 1);
      text += "\n";
    }
  }

 private:
  void remember(MemoryRegion& target) {
    if (std::find(aliased_.begin(), aliased_.end(), &target) == aliased_.end()) aliased_.push_back(&target);
  }
  std::vector<MemoryRegion*> aliased_;
};

std::string tree_text() {
  TreePrinter printer;
  for (AddressSpace* space : AddressSpace::all()) {
    str_append(printer.text, "address-space: ", space->name(), "\n");
    printer.print(space->root(), 0, 1);
    printer.text += "\n";
  }
  printer.print_aliased();
  return std::move(printer.text);
}

void append_flat(std::string& out, const FlatView& view) {
  if (view.ranges.empty()) out += "  No rendered FlatView\n";
  for (const FlatRange& r : view.ranges) {
    str_append(out, "  ", addr_range(r.start, r.size), " (prio ", r.region->priority(), ", ",
               kind_name(*r.region, r.readonly), "): ", r.region->name());
    if (r.region_offset != 0) str_append(out, " @", hex(r.region_offset, 16));
    out += "\n";
  }
  out += "\n";
}

std::string flat_text() {
  std::string out;
  const auto& spaces = AddressSpace::all();
  int number = 0;
  for (size_t i = 0; i < spaces.size(); ++i) {
    MemoryRegion& root = spaces[i]->root();
    auto same_root = [&](const AddressSpace* s) { return &s->root() == &root; };
    if (std::any_of(spaces.begin(), spaces.begin() + static_cast<ptrdiff_t>(i), same_root)) continue;
    str_append(out, "FlatView #", number++, "\n");
    for (const AddressSpace* s : spaces)
      if (same_root(s)) str_append(out, " AS \"", s->name(), "\", root: ", root.name(), "\n");
    str_append(out, " Root memory region: ", root.name(), "\n");
    append_flat(out, *spaces[i]->view());
  }
  return out;
}

}  // namespace

std::string memory_tree_text(bool flat) {
  return flat ? flat_text() : tree_text();
}

}  // namespace rhea
