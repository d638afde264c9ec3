#include "hw/acpi/memory_hotplug.h"

namespace rhea {

namespace {

// Read: the selected module's address, size and node, then its flags. Written: the selector, what _OST says,
// the flags.
constexpr uint64_t kAddressLow = 0x0, kAddressHigh = 0x4, kSizeLow = 0x8, kSizeHigh = 0xc, kProximity = 0x10,
                   kMemoryFlags = 0x14, kMemorySelector = 0x0, kMemoryOstEvent = 0x4, kMemoryOstStatus = 0x8;
constexpr uint8_t kModuleEnabled = 1 << 0, kModuleInserting = 1 << 1, kModuleRemoving = 1 << 2,
                  kModuleEject = 1 << 3;

}  // namespace

MemoryHotplug::MemoryHotplug(unsigned slots, Wiring wiring) : slots_(slots), wiring_(std::move(wiring)) {
  region_ = MemoryRegion::io("acpi-mem-hotplug", kBytes, io_,
                             {.valid_min = 1, .valid_max = 4, .impl_min = 1, .impl_max = 4});
}

void MemoryHotplug::map(MemoryRegion& io) {
  io.add_subregion(kBase, *region_);
}

void MemoryHotplug::plugged(unsigned slot) {
  if (slot >= slots_.size()) return;
  slots_[slot] = {.inserting = true};
  wiring_.raise_gpe();
}

void MemoryHotplug::ask_to_unplug(unsigned slot) {
  if (slot >= slots_.size()) return;
  slots_[slot].removing = true;
  wiring_.raise_gpe();
}

void MemoryHotplug::unplugged(unsigned slot) {
  if (slot < slots_.size()) slots_[slot].inserting = slots_[slot].removing = false;
}

/// A selector past the last slot selects nothing: reads give zero, writes do nothing.
uint64_t MemoryHotplug::read(uint64_t offset, unsigned) {
  if (selector >= slots_.size()) return 0;
  const MemoryHotplugSlot& slot = slots_[selector];
  const std::optional<MemoryHotplugModule> module = wiring_.module(selector);
  const MemoryHotplugModule m = module.value_or(MemoryHotplugModule());
  switch (offset) {
    case kAddressLow:
      return static_cast<uint32_t>(m.address);
    case kAddressHigh:
      return m.address >> 32;
    case kSizeLow:
      return static_cast<uint32_t>(m.bytes);
    case kSizeHigh:
      return m.bytes >> 32;
    case kProximity:
      return m.node;
    case kMemoryFlags:
      return (module ? kModuleEnabled : 0u) | (slot.inserting ? kModuleInserting : 0u) |
             (slot.removing ? kModuleRemoving : 0u);
    default:
      return UINT32_MAX;
  }
}

void MemoryHotplug::write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == kMemorySelector) {
    selector = static_cast<uint32_t>(value);
    return;
  }
  if (selector >= slots_.size()) return;
  MemoryHotplugSlot& slot = slots_[selector];
  switch (offset) {
    case kMemoryOstEvent:
      slot.ost_event = static_cast<uint32_t>(value);
      return;
    case kMemoryOstStatus:
      slot.ost_status = static_cast<uint32_t>(value);
      return wiring_.status_told(selector);
    case kMemoryFlags:  // one thing at a time, the lowest bit first
      if ((value & kModuleInserting) != 0)
        slot.inserting = false;
      else if ((value & kModuleRemoving) != 0)
        slot.removing = false;
      else if ((value & kModuleEject) != 0 && wiring_.module(selector))
        wiring_.eject(selector);
      return;
    default:
      return;
  }
}

// --- Saved state: how many slots there are is the machine's, and not sent.

using MemorySlot = MemoryHotplugSlot;
static constexpr VMStateField kMemorySlotFields[] = {
    field<&MemorySlot::enabled>("is_enabled"), field<&MemorySlot::inserting>("is_inserting"),
    field<&MemorySlot::ost_event>("ost_event"), field<&MemorySlot::ost_status>("ost_status")};
static constexpr VMState kMemorySlotVmState{
    .name = "memory hotplug device state", .version = 1, .fields = kMemorySlotFields};

struct MemoryHotplugWire {
  static void save(const void* o, StateWriter& out, const VMStateField&) {
    auto& hotplug = *const_cast<MemoryHotplug*>(static_cast<const MemoryHotplug*>(o));
    for (unsigned i = 0; i < hotplug.slots_.size(); ++i) {
      hotplug.slots_[i].enabled = hotplug.wiring_.module(i).has_value();
      vmstate_save(kMemorySlotVmState, &hotplug.slots_[i], out);
    }
  }
  static Result<> load(void* o, StateReader& in, const VMStateField&, int) {
    auto& hotplug = *static_cast<MemoryHotplug*>(o);
    for (unsigned i = 0; i < hotplug.slots_.size(); ++i) {
      MemoryHotplugSlot& slot = hotplug.slots_[i];
      TRY(vmstate_load(kMemorySlotVmState, &slot, in, kMemorySlotVmState.version));
      if (slot.enabled != hotplug.wiring_.module(i).has_value())
        return fail(EINVAL, "memory slot ", i,
                    slot.enabled ? " has no module here" : " has a module here alone");
    }
    return {};
  }
};
static constexpr VMStateField kMemoryHotplugFields[] = {
    field<&MemoryHotplug::selector>("selector"),
    VMStateField{.name = "devs", .save = MemoryHotplugWire::save, .load = MemoryHotplugWire::load}};
constexpr VMState MemoryHotplug::kVmState{
    .name = "memory hotplug state", .version = 1, .fields = kMemoryHotplugFields};

}  // namespace rhea
