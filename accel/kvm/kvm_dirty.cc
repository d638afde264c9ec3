// Which pages the guest wrote: KVM's log, moved into the RAM blocks' bitmaps.
#include "accel/kvm/kvm_ioctl.h"
#include "accel/kvm/kvm_memory.h"

namespace rhea {

Result<> KvmMemory::update_dirty_logging() {
  for (Slot& slot : slots_) {
    bool wanted = slot.ram->tracked() && !slot.readonly;
    if (slot.logged == wanted) continue;
    if (slot.logged) TRY(sync_slot(slot));
    Slot changed = slot;
    changed.logged = wanted;
    TRY(set_slot(changed, true));
    slot.logged = wanted;
  }
  return {};
}

Result<> KvmMemory::sync_dirty_log() {
  for (const Slot& slot : slots_)
    if (slot.logged) TRY(sync_slot(slot));
  return {};
}

/// Reading the log also clears it, and write-protects the pages again.
Result<> KvmMemory::sync_slot(const Slot& slot) {
  std::vector<uint64_t> bitmap((slot.size / kPageSize + 63) / 64);
  kvm_dirty_log log{};
  log.slot = slot.number;
  log.dirty_bitmap = bitmap.data();
  TRY(kvm_call(vm_fd_, KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", &log));
  slot.ram->mark_dirty_pages(slot.offset, bitmap);
  return {};
}

}  // namespace rhea
