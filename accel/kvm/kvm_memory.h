// The guest's memory as KVM sees it: slots that follow the flat view, doorbells, the dirty log.
#pragma once

#include "accel/kvm/kvm_uapi.h"

#include <functional>
#include <vector>

#include "memory/memory.h"

namespace rhea {

/// Memory slots of a VM. Machine lock.
class KvmMemory final : public MemoryListener {
 public:
  /// `exclude_vcpus(true)` keeps all vCPUs out of the guest until `exclude_vcpus(false)`.
  KvmMemory(int vm_fd, unsigned max_slots, std::function<void(bool)> exclude_vcpus)
      : vm_fd_(vm_fd), max_slots_(max_slots), exclude_vcpus_(std::move(exclude_vcpus)) {}

  void commit() override;
  void ioevent_added(GuestAddr addr, const MemoryRegion::IoEvent& event) override;
  void ioevent_removed(GuestAddr addr, const MemoryRegion::IoEvent& event) override;

  /// The first failure since the last call.
  Result<> take_error() { return std::exchange(error_, Result<>{}); }
  Result<> update_dirty_logging();
  Result<> sync_dirty_log();
  size_t slot_count() const { return slots_.size(); }

 private:
  struct Slot {
    uint32_t number;
    GuestAddr start;
    uint64_t size;
    RamBlock* ram;
    uint64_t offset;
    bool readonly;
    bool logged;
    bool same_place(const Slot& o) const {
      return start == o.start && size == o.size && ram == o.ram && offset == o.offset &&
             readonly == o.readonly;
    }
  };
  static std::vector<Slot> wanted_slots(const FlatView& view);
  static void add_wanted(std::vector<Slot>& slots, const FlatRange& range, GuestAddr from, GuestAddr to);
  bool has(const std::vector<Slot>& slots, const Slot& slot) const;
  void replace_slots(const std::vector<Slot>& wanted);
  uint32_t free_number() const;
  Result<> set_slot(const Slot& slot, bool present);
  Result<> sync_slot(const Slot& slot);
  void note(Result<> result);

  int vm_fd_;
  unsigned max_slots_;
  std::function<void(bool)> exclude_vcpus_;
  std::vector<Slot> slots_;
  std::vector<std::shared_ptr<RamBlock>> blocks_;  ///< what the slots map stays mapped
  Result<> error_;
};

/// Doorbells in port space. Machine lock.
class KvmPorts final : public MemoryListener {
 public:
  explicit KvmPorts(int vm_fd) : vm_fd_(vm_fd) {}
  void ioevent_added(GuestAddr addr, const MemoryRegion::IoEvent& event) override;
  void ioevent_removed(GuestAddr addr, const MemoryRegion::IoEvent& event) override;

 private:
  int vm_fd_;
};

}  // namespace rhea
