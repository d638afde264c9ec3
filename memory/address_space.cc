// Address spaces: they keep the flat view current and tell listeners what changed.
#include <algorithm>
#include <tuple>

#include "memory/memory_internal.h"

namespace rhea {

namespace {

std::vector<AddressSpace*>& spaces() {
  static auto& list = *new std::vector<AddressSpace*>;
  return list;
}

int transaction_depth = 0;
bool change_pending = false;

/// Calls `fn` for each element of the sorted `a` that `b` lacks.
template <class T, class Fn>
void for_each_missing(const std::vector<T>& a, const std::vector<T>& b, Fn fn) {
  for (const T& item : a)
    if (std::find(b.begin(), b.end(), item) == b.end()) fn(item);
}

/// The same for ranges, which are sorted by address on both sides.
template <class Fn>
void for_each_missing_range(const FlatView& a, const FlatView& b, Fn fn) {
  auto other = b.ranges.begin();
  for (const FlatRange& r : a.ranges) {
    while (other != b.ranges.end() && other->start < r.start) ++other;
    if (other == b.ranges.end() || !(*other == r)) fn(r);
  }
}

}  // namespace

MemoryTransaction::MemoryTransaction() {
  ++transaction_depth;
}

MemoryTransaction::~MemoryTransaction() {
  if (--transaction_depth == 0 && change_pending) memory_update_spaces();
}

void memory_update_spaces() {
  change_pending = false;
  for (AddressSpace* space : spaces()) space->update();
}

void memory_topology_changed() {
  if (transaction_depth > 0)
    change_pending = true;
  else
    memory_update_spaces();
}

AddressSpace::AddressSpace(std::string name, MemoryRegion& root) : name_(std::move(name)), root_(root) {
  spaces().push_back(this);
  view_.store(std::make_shared<const FlatView>(render_flat_view(root_)));
  events_ = bind_events(*view());
}

AddressSpace::~AddressSpace() {
  std::erase(spaces(), this);
}

std::shared_ptr<const FlatView> AddressSpace::view() const {
  return view_.load();
}

const std::vector<AddressSpace*>& AddressSpace::all() {
  return spaces();
}

/// The doorbells that are visible, with their guest addresses.
std::vector<AddressSpace::BoundEvent> AddressSpace::bind_events(const FlatView& view) {
  std::vector<BoundEvent> bound;
  for (const FlatRange& range : view.ranges) {
    for (const MemoryRegion::IoEvent& event : range.region->ioevents()) {
      uint64_t bytes = event.size == 0 ? 1 : event.size;
      if (event.offset < range.region_offset) continue;
      uint64_t into = event.offset - range.region_offset;
      if (into >= range.size || bytes > range.size - into) continue;
      bound.push_back({range.start + into, event});
    }
  }
  return bound;
}

void AddressSpace::update() {
  auto after = std::make_shared<const FlatView>(render_flat_view(root_));
  std::vector<BoundEvent> events = bind_events(*after);
  std::shared_ptr<const FlatView> before = view();
  if (before->ranges == after->ranges && events == events_) return;
  view_.store(after);
  std::vector<BoundEvent> old_events = std::exchange(events_, std::move(events));
  notify(*before, *after, old_events);
}

void AddressSpace::notify(const FlatView& before, const FlatView& after,
                          const std::vector<BoundEvent>& old_events) {
  for (MemoryListener* l : listeners_) {
    l->begin();
    for_each_missing(old_events, events_, [&](const BoundEvent& e) { l->ioevent_removed(e.addr, e.event); });
    for_each_missing_range(before, after, [&](const FlatRange& r) { l->range_removed(r); });
    for_each_missing_range(after, before, [&](const FlatRange& r) { l->range_added(r); });
    for_each_missing(events_, old_events, [&](const BoundEvent& e) { l->ioevent_added(e.addr, e.event); });
    l->commit();
  }
}

void AddressSpace::add_listener(MemoryListener& listener) {
  listeners_.push_back(&listener);
  std::shared_ptr<const FlatView> now = view();
  listener.begin();
  for (const FlatRange& r : now->ranges) listener.range_added(r);
  for (const BoundEvent& e : events_) listener.ioevent_added(e.addr, e.event);
  listener.commit();
}

void AddressSpace::remove_listener(MemoryListener& listener) {
  std::erase(listeners_, &listener);
}

AddressSpace::Mapping AddressSpace::map(GuestAddr addr, uint64_t bytes, bool for_write) {
  std::shared_ptr<const FlatView> now = view();
  const FlatRange* range = now->find(addr);
  if (range == nullptr || range->ram == nullptr || (for_write && range->readonly)) return {};
  uint64_t into = addr - range->start;
  uint64_t offset = range->region_offset + into;
  return {range->ram->host() + offset, std::min(bytes, range->size - into), range->ram, offset};
}

// The two spaces of the machine live as long as the process: threads may still look at them while it ends.
MemoryRegion& system_memory() {
  static MemoryRegion& root = *MemoryRegion::container("system", MemoryRegion::kWholeSpace).release();
  return root;
}

MemoryRegion& system_io() {
  static MemoryRegion& root = *MemoryRegion::container("io", 65536).release();
  return root;
}

AddressSpace& memory_space() {
  static AddressSpace& space = *new AddressSpace("memory", system_memory());
  return space;
}

AddressSpace& io_space() {
  static AddressSpace& space = *new AddressSpace("I/O", system_io());
  return space;
}

}  // namespace rhea
