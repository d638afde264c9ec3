// Memory hotplug registers: how the guest's ACPI code learns which modules come and go, and lets go of them.
// Spec: QEMU's docs/specs/acpi_mem_hotplug.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "memory/memory.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

/// A slot as the guest's ACPI code sees it.
struct MemoryHotplugSlot {
  bool enabled = false;    ///< on the wire only: there is a module
  bool inserting = false;  ///< the guest has not been told yet that it is there
  bool removing = false;   ///< nor that it is to go
  uint32_t ost_event = 0;  ///< what the guest said last (ACPI 6.3.5, _OST)
  uint32_t ost_status = 0;
};

/// A module in a slot.
struct MemoryHotplugModule {
  GuestAddr address = 0;
  uint64_t bytes = 0;
  uint32_t node = 0;
};

/// Machine lock.
class MemoryHotplug {
 public:
  static constexpr uint64_t kBase = 0x0a00, kBytes = 24;
  static constexpr unsigned kGpe = 3;

  struct Wiring {
    std::function<std::optional<MemoryHotplugModule>(unsigned slot)> module;
    std::function<void(unsigned)> eject;  ///< the guest lets go of it; must not take it away at once
    std::function<void()> raise_gpe;
    std::function<void(unsigned)> status_told;  ///< _OST
  };
  MemoryHotplug(unsigned slots, Wiring wiring);
  void map(MemoryRegion& io);

  /// A module has come to the running machine.
  void plugged(unsigned slot);
  /// Asks the guest to let go of one.
  void ask_to_unplug(unsigned slot);
  /// The guest is not asked any more.
  void withdraw(unsigned slot) {
    if (slot < slots_.size()) slots_[slot].removing = false;
  }
  /// It is gone, or as good as.
  void unplugged(unsigned slot);
  const std::vector<MemoryHotplugSlot>& slots() const { return slots_; }

  // State that travels.
  uint32_t selector = 0;
  static const VMState kVmState;

 private:
  friend struct MemoryHotplugWire;
  uint64_t read(uint64_t offset, unsigned size);
  void write(uint64_t offset, uint64_t value, unsigned size);

  std::vector<MemoryHotplugSlot> slots_;
  Wiring wiring_;
  MmioOf<MemoryHotplug, &MemoryHotplug::read, &MemoryHotplug::write> io_{*this};
  std::unique_ptr<MemoryRegion> region_;
};

}  // namespace rhea
