#include "hw/acpi/cpu_hotplug.h"

namespace rhea {

namespace {

// The modern interface.
constexpr uint64_t kSelector = 0, kFlags = 4, kCommand = 5, kData = 8;  // read at 0: upper half of data
constexpr uint8_t kEnabled = 1 << 0, kInserting = 1 << 1, kRemoving = 1 << 2, kEject = 1 << 3,
                  kFirmwareRemoves = 1 << 4;
enum Command : uint8_t { kNextWithEvent, kOstEvent, kOstStatus, kArchitectureId, kCommands };

}  // namespace

CpuHotplug::CpuHotplug(std::span<const uint32_t> apic_ids, Wiring wiring) : wiring_(std::move(wiring)) {
  for (uint32_t id : apic_ids) slots_.push_back({.apic_id = id});
  legacy_region_ = MemoryRegion::io("acpi-cpu-hotplug", kLegacyBytes, legacy_io_,
                                    {.valid_min = 1, .valid_max = 4, .impl_min = 1, .impl_max = 1});
  modern_region_ = MemoryRegion::io("acpi-cpu-hotplug", kModernBytes, modern_io_,
                                    {.valid_min = 1, .valid_max = 4, .impl_min = 1, .impl_max = 4});
  modern_region_->set_enabled(false);
}

void CpuHotplug::map(MemoryRegion& io) {
  const MemoryTransaction transaction;
  io.add_subregion(kBase, *legacy_region_);
  io.add_subregion(kBase, *modern_region_);
}

void CpuHotplug::switch_to_modern() {
  legacy_ = false;
  const MemoryTransaction transaction;
  legacy_region_->set_enabled(false);
  modern_region_->set_enabled(true);
}

// --- What happens to processors.

void CpuHotplug::plugged(unsigned slot) {
  if (slot >= slots_.size()) return;
  if (!legacy_) slots_[slot].inserting = true;
  wiring_.raise_gpe();
}

void CpuHotplug::ask_to_unplug(unsigned slot) {
  if (slot >= slots_.size()) return;
  slots_[slot].removing = true;
  wiring_.raise_gpe();
}

void CpuHotplug::unplugged(unsigned slot) {
  if (slot >= slots_.size()) return;
  slots_[slot].inserting = slots_[slot].removing = slots_[slot].firmware_removes = false;
}

// --- Legacy.

uint64_t CpuHotplug::legacy_read(uint64_t offset, unsigned) {
  uint8_t bits = 0;
  for (unsigned i = 0; i < slots_.size(); ++i)
    if (slots_[i].apic_id / 8 == offset && wiring_.present(i))
      bits |= static_cast<uint8_t>(1u << (slots_[i].apic_id % 8));
  return bits;
}

void CpuHotplug::legacy_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == 0 && (value & 0xff) == 0) switch_to_modern();
}

// --- Modern. A selector past the last slot selects nothing: reads give zero, writes do nothing.

uint8_t CpuHotplug::flags(unsigned slot) const {
  const CpuHotplugSlot& s = slots_[slot];
  return static_cast<uint8_t>((wiring_.present(slot) ? kEnabled : 0) | (s.inserting ? kInserting : 0) |
                              (s.removing ? kRemoving : 0) | (s.firmware_removes ? kFirmwareRemoves : 0));
}

uint64_t CpuHotplug::modern_read(uint64_t offset, unsigned) {
  if (selector >= slots_.size()) return 0;
  if (offset == kFlags) return flags(selector);
  if (offset != kData) return 0;  // the upper half of what data can be is always zero
  if (command == kNextWithEvent) return selector;
  return command == kArchitectureId ? slots_[selector].apic_id : 0;
}

void CpuHotplug::modern_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == kSelector) {
    selector = static_cast<uint32_t>(value);
    return;
  }
  if (selector >= slots_.size()) return;
  if (offset == kFlags)
    control(slots_[selector], static_cast<uint8_t>(value));
  else if (offset == kCommand)
    run_command(static_cast<uint8_t>(value));
  else if (offset == kData)
    take_data(slots_[selector], static_cast<uint32_t>(value));
}

/// One thing at a time, the lowest bit first.
void CpuHotplug::control(CpuHotplugSlot& slot, uint8_t bits) {
  if ((bits & kInserting) != 0)
    slot.inserting = false;
  else if ((bits & kRemoving) != 0)
    slot.removing = false;
  else if ((bits & kEject) != 0)
    wiring_.eject(selector);
  else if ((bits & kFirmwareRemoves) != 0)
    slot.firmware_removes = !slot.firmware_removes;
}

void CpuHotplug::run_command(uint8_t value) {
  if (value >= kCommands) return;
  command = value;
  if (command != kNextWithEvent) return;
  const auto count = static_cast<unsigned>(slots_.size());
  for (unsigned i = 0; i < count; ++i) {
    const unsigned at = (selector + i) % count;
    const CpuHotplugSlot& s = slots_[at];
    if (!s.inserting && !s.removing && !s.firmware_removes) continue;
    selector = at;
    return;
  }
}

void CpuHotplug::take_data(CpuHotplugSlot& slot, uint32_t value) {
  if (command == kOstEvent) slot.ost_event = value;
  if (command != kOstStatus) return;
  slot.ost_status = value;
  wiring_.status_told(selector);
}

// --- Saved state: how many slots there are is the machine's, and not sent.

using S = CpuHotplugSlot;
static constexpr VMStateField kSlotFields[] = {
    field<&S::inserting>("is_inserting"), field<&S::removing>("is_removing"),
    field<&S::ost_event>("ost_event"), field<&S::ost_status>("ost_status")};
static constexpr VMState kSlotVmState{
    .name = "CPU hotplug device state", .version = 1, .fields = kSlotFields};

struct CpuHotplugWire {
  static void save(const void* o, StateWriter& out, const VMStateField&) {
    for (CpuHotplugSlot& s : const_cast<CpuHotplug*>(static_cast<const CpuHotplug*>(o))->slots_)
      vmstate_save(kSlotVmState, &s, out);
  }
  static Result<> load(void* o, StateReader& in, const VMStateField&, int) {
    for (CpuHotplugSlot& s : static_cast<CpuHotplug*>(o)->slots_)
      TRY(vmstate_load(kSlotVmState, &s, in, kSlotVmState.version));
    return {};
  }
};
static constexpr VMStateField kFields[] = {
    field<&CpuHotplug::selector>("selector"), field<&CpuHotplug::command>("command"),
    VMStateField{.name = "devs", .save = CpuHotplugWire::save, .load = CpuHotplugWire::load}};
constexpr VMState CpuHotplug::kVmState{
    .name = "CPU hotplug state", .version = 1, .fields = kFields, .post_load = [](void* o, int) -> Result<> {
      auto& c = *static_cast<CpuHotplug*>(o);
      if (c.command >= kCommands) return fail(EINVAL, "CPU hotplug: no command ", unsigned{c.command});
      return {};
    }};

}  // namespace rhea
