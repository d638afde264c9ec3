// The tree of regions and its changes.
#include <algorithm>
#include <cassert>

#include "memory/memory_internal.h"

namespace rhea {

MemoryRegion::MemoryRegion(std::string name, Kind kind, uint64_t size)
    : name_(std::move(name)), kind_(kind), size_(size) {}

std::unique_ptr<MemoryRegion> MemoryRegion::container(std::string name, uint64_t size) {
  return std::unique_ptr<MemoryRegion>(new MemoryRegion(std::move(name), Kind::kContainer, size));
}

std::unique_ptr<MemoryRegion> MemoryRegion::io(std::string name, uint64_t size, MmioHandler& handler,
                                               AccessRules rules) {
  assert(rules.valid_min >= 1 && rules.valid_min <= rules.valid_max && rules.valid_max <= 8);
  assert(rules.impl_min >= 1 && rules.impl_min <= rules.impl_max && rules.impl_max <= 8);
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(std::move(name), Kind::kIo, size));
  region->handler_ = &handler;
  region->rules_ = rules;
  return region;
}

std::unique_ptr<MemoryRegion> MemoryRegion::ram(std::string name, std::shared_ptr<RamBlock> block) {
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(std::move(name), Kind::kRam, block->size()));
  region->ram_ = std::move(block);
  return region;
}

std::unique_ptr<MemoryRegion> MemoryRegion::rom(std::string name, std::shared_ptr<RamBlock> block,
                                                MmioHandler* on_write) {
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(std::move(name), Kind::kRom, block->size()));
  region->ram_ = std::move(block);
  region->handler_ = on_write;
  return region;
}

std::unique_ptr<MemoryRegion> MemoryRegion::alias(std::string name, MemoryRegion& target, uint64_t offset,
                                                  uint64_t size) {
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(std::move(name), Kind::kAlias, size));
  region->alias_ = &target;
  region->alias_offset_ = offset;
  return region;
}

MemoryRegion::~MemoryRegion() {
  for (MemoryRegion* sub : subregions_) sub->container_ = nullptr;
  if (container_ == nullptr) return;
  std::erase(container_->subregions_, this);
  // No view may show a dead region, not even until the end of a transaction.
  memory_update_spaces();
}

void MemoryRegion::add_subregion(uint64_t offset, MemoryRegion& sub, int priority) {
  assert(sub.container_ == nullptr && &sub != this);
  sub.container_ = this;
  sub.offset_ = offset;
  sub.priority_ = priority;
  // Among equals the latest comes first: it hides those before it.
  auto place = std::find_if(subregions_.begin(), subregions_.end(),
                            [&](const MemoryRegion* other) { return other->priority_ <= priority; });
  subregions_.insert(place, &sub);
  memory_topology_changed();
}

void MemoryRegion::remove_subregion(MemoryRegion& sub) {
  if (sub.container_ != this) return;
  std::erase(subregions_, &sub);
  sub.container_ = nullptr;
  memory_topology_changed();
}

void MemoryRegion::set_enabled(bool on) {
  if (enabled_ == on) return;
  enabled_ = on;
  memory_topology_changed();
}

void MemoryRegion::set_offset(uint64_t offset) {
  if (offset_ == offset) return;
  offset_ = offset;
  if (container_ == nullptr) return;
  // A region that moves comes to lie above its equals, as one that is added does.
  MemoryTransaction all_at_once;
  MemoryRegion& container = *container_;
  container.remove_subregion(*this);
  container.add_subregion(offset, *this, priority_);
}

void MemoryRegion::set_size(uint64_t size) {
  assert(ram_ == nullptr || size <= ram_->size());
  if (size_ == size) return;
  size_ = size;
  memory_topology_changed();
}

void MemoryRegion::set_alias_offset(uint64_t offset) {
  if (alias_offset_ == offset) return;
  alias_offset_ = offset;
  memory_topology_changed();
}

void MemoryRegion::set_readonly(bool on) {
  if (readonly_ == on) return;
  readonly_ = on;
  memory_topology_changed();
}

void MemoryRegion::add_ioevent(const IoEvent& event) {
  ioevents_.push_back(event);
  memory_topology_changed();
}

void MemoryRegion::remove_ioevent(const IoEvent& event) {
  auto it = std::find(ioevents_.begin(), ioevents_.end(), event);
  if (it == ioevents_.end()) return;
  ioevents_.erase(it);
  memory_topology_changed();
}

}  // namespace rhea
