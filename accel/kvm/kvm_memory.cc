#include "accel/kvm/kvm_memory.h"

#include <algorithm>

#include "accel/kvm/kvm_ioctl.h"
#include "util/log.h"

namespace rhea {

namespace {

TracePoint trace_slot("kvm_set_user_memory");
TracePoint trace_ioeventfd("kvm_ioeventfd");

/// Slots are cut here: the chip set changes memory below it often, and the slot above, all of the RAM, need
/// not be made anew each time.
constexpr GuestAddr kLowMegabyte = 0x100000;

constexpr uint64_t page_up(uint64_t v) {
  return (v + kPageSize - 1) & ~(kPageSize - 1);
}
constexpr uint64_t page_down(uint64_t v) {
  return v & ~(kPageSize - 1);
}

/// Where KVM has no such doorbell, the write comes to the region's handler as it would otherwise.
void set_doorbell(int vm_fd, GuestAddr addr, const MemoryRegion::IoEvent& event, bool port, bool on) {
  kvm_ioeventfd bell{};
  bell.addr = addr;
  bell.len = event.size;
  bell.fd = event.fd;
  bell.datamatch = event.match_data ? event.data : 0;
  bell.flags = (port ? KVM_IOEVENTFD_FLAG_PIO : 0) | (event.match_data ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
               (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN);
  int r = kvm_ioctl(vm_fd, KVM_IOEVENTFD, &bell);
  trace_ioeventfd(port ? "port" : "memory", " 0x", hex(addr), " size ", event.size, on ? " on" : " off",
                  " result ", r);
}

}  // namespace

void KvmPorts::ioevent_added(GuestAddr addr, const MemoryRegion::IoEvent& event) {
  set_doorbell(vm_fd_, addr, event, true, true);
}

void KvmPorts::ioevent_removed(GuestAddr addr, const MemoryRegion::IoEvent& event) {
  set_doorbell(vm_fd_, addr, event, true, false);
}

void KvmMemory::ioevent_added(GuestAddr addr, const MemoryRegion::IoEvent& event) {
  set_doorbell(vm_fd_, addr, event, false, true);
}

void KvmMemory::ioevent_removed(GuestAddr addr, const MemoryRegion::IoEvent& event) {
  set_doorbell(vm_fd_, addr, event, false, false);
}

/// Adds [from, to) of `range`, or nothing if no whole page is left of it or guest and host pages do not
/// match.
void KvmMemory::add_wanted(std::vector<Slot>& slots, const FlatRange& range, GuestAddr from, GuestAddr to) {
  GuestAddr start = page_up(from), end = page_down(to);
  if (start < from || start >= end) return;
  uint64_t offset = range.region_offset + (start - range.start);
  if (offset % kPageSize != 0) return;
  slots.push_back({.number = 0,
                   .start = start,
                   .size = end - start,
                   .ram = range.ram,
                   .offset = offset,
                   .readonly = range.readonly,
                   .logged = range.ram->tracked()});
}

std::vector<KvmMemory::Slot> KvmMemory::wanted_slots(const FlatView& view) {
  std::vector<Slot> slots;
  for (const FlatRange& range : view.ranges) {
    if (range.ram == nullptr) continue;
    GuestAddr end = range.start + range.size;
    if (range.start < kLowMegabyte && end > kLowMegabyte) {
      add_wanted(slots, range, range.start, kLowMegabyte);
      add_wanted(slots, range, kLowMegabyte, end);
    } else {
      add_wanted(slots, range, range.start, end);
    }
  }
  return slots;
}

bool KvmMemory::has(const std::vector<Slot>& slots, const Slot& slot) const {
  return std::any_of(slots.begin(), slots.end(), [&](const Slot& s) { return s.same_place(slot); });
}

void KvmMemory::commit() {
  std::shared_ptr<const FlatView> view = memory_space().view();
  std::vector<Slot> wanted = wanted_slots(*view);
  bool removes = std::any_of(slots_.begin(), slots_.end(), [&](const Slot& s) { return !has(wanted, s); });
  if (removes) exclude_vcpus_(true);
  replace_slots(wanted);
  if (removes) exclude_vcpus_(false);
  blocks_ = view->blocks;
}

void KvmMemory::replace_slots(const std::vector<Slot>& wanted) {
  for (size_t i = 0; i < slots_.size();) {
    if (has(wanted, slots_[i])) {
      ++i;
      continue;
    }
    if (slots_[i].logged) note(sync_slot(slots_[i]));
    note(set_slot(slots_[i], false));
    slots_.erase(slots_.begin() + static_cast<ptrdiff_t>(i));
  }
  for (Slot slot : wanted) {
    if (has(slots_, slot)) continue;
    slot.number = free_number();
    Result<> set = set_slot(slot, true);
    if (set) slots_.push_back(slot);
    note(std::move(set));
  }
}

void KvmMemory::note(Result<> result) {
  if (result) return;
  error_report(result.error());
  if (error_) error_ = std::move(result);
}

uint32_t KvmMemory::free_number() const {
  uint32_t n = 0;
  while (std::any_of(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.number == n; })) ++n;
  return n;
}

Result<> KvmMemory::set_slot(const Slot& slot, bool present) {
  if (slot.number >= max_slots_) return fail(ENOSPC, "KVM: no memory slot is free");
  kvm_userspace_memory_region region{};
  region.slot = slot.number;
  region.guest_phys_addr = slot.start;
  region.memory_size = present ? slot.size : 0;
  region.userspace_addr = reinterpret_cast<uint64_t>(slot.ram->host() + slot.offset);
  region.flags = (slot.readonly ? KVM_MEM_READONLY : 0) | (slot.logged ? KVM_MEM_LOG_DIRTY_PAGES : 0);
  trace_slot("slot ", slot.number, " 0x", hex(slot.start), " size 0x", hex(region.memory_size), " flags ",
             region.flags);
  int r = kvm_ioctl(vm_fd_, KVM_SET_USER_MEMORY_REGION, &region);
  if (r < 0)
    return fail_errno(-r, "KVM: memory slot at 0x", hex(slot.start), " of 0x", hex(slot.size),
                      " bytes failed");
  return {};
}

}  // namespace rhea
