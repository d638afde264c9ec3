// CPU hotplug registers: how the guest's ACPI code learns which processors come and go, and lets go of them.
// Spec: QEMU's docs/specs/acpi_cpu_hotplug. The block begins with the legacy interface, a bitmap of the
// present processors by APIC id; a zero written to its first byte turns it into the modern one for good.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "memory/memory.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

/// A place for a processor, as the guest's ACPI code sees it.
struct CpuHotplugSlot {
  uint32_t apic_id = 0;
  bool inserting = false;  ///< the guest has not been told yet that it is there
  bool removing = false;   ///< nor that it is to go
  bool firmware_removes = false;
  uint32_t ost_event = 0;  ///< what the guest said last (ACPI 6.3.5, _OST)
  uint32_t ost_status = 0;
};

/// Machine lock.
class CpuHotplug {
 public:
  static constexpr uint64_t kBase = 0xaf00, kLegacyBytes = 32, kModernBytes = 12;
  static constexpr unsigned kGpe = 2;

  /// What stands behind a slot, by its number, which is the cpu-index.
  struct Wiring {
    std::function<bool(unsigned)> present;
    std::function<void(unsigned)> eject;  ///< the guest lets go of it; must not take it away at once
    std::function<void()> raise_gpe;
    std::function<void(unsigned)> status_told;  ///< _OST
  };
  /// \param apic_ids  of all places, in the order of their numbers
  CpuHotplug(std::span<const uint32_t> apic_ids, Wiring wiring);
  void map(MemoryRegion& io);

  /// A processor has come to the running machine.
  void plugged(unsigned slot);
  /// Asks the guest to let go of one. Only with the modern interface.
  void ask_to_unplug(unsigned slot);
  /// The guest is not asked any more.
  void withdraw(unsigned slot) {
    if (slot < slots_.size()) slots_[slot].removing = false;
  }
  /// It is gone, or as good as.
  void unplugged(unsigned slot);
  bool legacy() const { return legacy_; }
  const std::vector<CpuHotplugSlot>& slots() const { return slots_; }

  // State that travels, once the modern interface is on.
  uint32_t selector = 0;
  uint8_t command = 0;
  static const VMState kVmState;
  /// After a load: the stream had the modern interface on.
  void switch_to_modern();

 private:
  friend struct CpuHotplugWire;
  uint64_t legacy_read(uint64_t offset, unsigned size);
  void legacy_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t modern_read(uint64_t offset, unsigned size);
  void modern_write(uint64_t offset, uint64_t value, unsigned size);
  void control(CpuHotplugSlot& slot, uint8_t bits);
  void run_command(uint8_t value);
  void take_data(CpuHotplugSlot& slot, uint32_t value);
  uint8_t flags(unsigned slot) const;

  std::vector<CpuHotplugSlot> slots_;
  Wiring wiring_;
  bool legacy_ = true;
  MmioOf<CpuHotplug, &CpuHotplug::legacy_read, &CpuHotplug::legacy_write> legacy_io_{*this};
  MmioOf<CpuHotplug, &CpuHotplug::modern_read, &CpuHotplug::modern_write> modern_io_{*this};
  std::unique_ptr<MemoryRegion> legacy_region_, modern_region_;
};

}  // namespace rhea
