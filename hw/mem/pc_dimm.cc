#include "hw/mem/pc_dimm.h"

#include <algorithm>

#include "hw/core/link_property.h"

namespace rhea {

namespace {

constexpr uint64_t kModuleAlign = 2 << 20;  ///< of sizes and addresses: a large page

uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

// --- The machine's places.

MemoryDevices& memory_devices() {
  static MemoryDevices devices;
  return devices;
}

void MemoryDevices::set_up(GuestAddr base, uint64_t most_bytes, uint32_t slots, uint32_t nodes) {
  clear();
  nodes_ = std::max(nodes, 1u);
  if (slots == 0) return;
  base_ = base;
  most_bytes_ = most_bytes;
  slots_ = slots;
  region_ = MemoryRegion::container("device-memory", most_bytes_ + slots_ * kSlack);
}

void MemoryDevices::clear() {
  region_.reset();
  slots_ = 0;
  most_bytes_ = base_ = 0;
}

uint64_t MemoryDevices::used_bytes() const {
  uint64_t bytes = 0;
  for (const PcDimm* module : modules_) bytes += module->bytes();
  return bytes;
}

PcDimm* MemoryDevices::at(uint32_t slot) const {
  for (PcDimm* module : modules_)
    if (module->slot == static_cast<int64_t>(slot)) return module;
  return nullptr;
}

Result<uint32_t> MemoryDevices::choose_slot(const PcDimm& module) const {
  if (slots_ == 0) return fail(ENOTSUP, "no slots where allocated, please specify the 'slots' option");
  if (module.slot == -1) {
    for (uint32_t slot = 0; slot < slots_; ++slot)
      if (at(slot) == nullptr) return slot;
    return fail(ENOSPC, "no free slots available");
  }
  if (module.slot < 0 || module.slot >= static_cast<int64_t>(slots_))
    return fail(EINVAL, "invalid slot number ", module.slot, ", valid range is [0-", slots_ - 1, "]");
  const auto slot = static_cast<uint32_t>(module.slot);
  if (at(slot) != nullptr) return fail(EBUSY, "slot ", slot, " is busy");
  return slot;
}

Result<GuestAddr> MemoryDevices::choose_address(const PcDimm& module, uint64_t bytes) const {
  const GuestAddr end = base_ + window_bytes();
  if (module.address != 0) {
    const GuestAddr first = module.address;
    if (first % kModuleAlign != 0)
      return fail(EINVAL, "address must be aligned to 0x", hex(kModuleAlign), " bytes");
    if (first < base_ || first >= end || bytes > end - first)
      return fail(EINVAL, "can't add memory device [0x", hex(first), ":0x", hex(bytes),
                  "], usable range for memory devices [0x", hex(base_), ":0x", hex(window_bytes()), "]");
    for (const PcDimm* other : modules_)
      if (first < other->address + other->bytes() && other->address < first + bytes)
        return fail(EBUSY, "address range conflicts with memory device id='", other->id(), "'");
    return first;
  }
  GuestAddr first = round_up(base_, kModuleAlign);
  for (const PcDimm* other : modules_) {  // by address
    if (other->address >= first && other->address - first >= bytes) break;
    first = round_up(other->address + other->bytes(), kModuleAlign);
  }
  if (first >= end || bytes > end - first)
    return fail(ENOSPC,
                "could not find position in guest address space for memory device - memory fragmented due to "
                "alignments");
  return first;
}

Result<> MemoryDevices::plug(PcDimm& module) {
  const uint64_t bytes = module.bytes();
  if (module.node >= nodes_)
    return fail(EINVAL, "'DIMM property node has value ", module.node,
                "' which exceeds the number of numa nodes: ", nodes_);
  const uint32_t slot = TRY(choose_slot(module));
  if (bytes == 0 || bytes % kModuleAlign != 0)
    return fail(EINVAL, "backend memory size must be multiple of 0x", hex(kModuleAlign));
  const uint64_t used = used_bytes();
  if (bytes > most_bytes_ - used)
    return fail(ENOSPC, "not enough space, currently 0x", hex(used),
                " in use of total space for memory devices 0x", hex(most_bytes_));
  module.address = TRY(choose_address(module, bytes));
  module.slot = static_cast<int32_t>(slot);
  module.memory_ = MemoryRegion::ram(module.backend_->name(), module.backend_->block());
  region_->add_subregion(module.address - base_, *module.memory_);
  const auto place = std::ranges::upper_bound(modules_, module.address, {}, &PcDimm::address);
  modules_.insert(place, &module);
  return {};
}

void MemoryDevices::unplug(PcDimm& module) {
  if (std::erase(modules_, &module) == 0) return;
  module.memory_.reset();
}

// --- The module.

constexpr PropertyInfo PcDimm::kProperties[] = {
    prop<&PcDimm::address>("addr"),
    prop<&PcDimm::node>("node"),
    prop<&PcDimm::slot>("slot"),
    {.name = "size",
     .type = "uint64",
     .get = [](const Object& o) -> Json { return static_cast<const PcDimm&>(o).bytes(); },
     .has_default = false},
    link_property<PcDimm, MemoryBackend, &PcDimm::backend, &PcDimm::set_backend>("memdev",
                                                                                 "link<memory-backend>"),
};
constexpr TypeInfo PcDimm::kType{
    .name = "pc-dimm",
    .parent = &Device::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PcDimm>(); },
    .properties = PcDimm::kProperties,
    .description = "DIMM memory module",
    .user_creatable = true};

PcDimm::~PcDimm() {
  memory_devices().unplug(*this);
}

Result<> PcDimm::do_realize() {
  if (backend_ == nullptr) return fail(EINVAL, "'memdev' property must be set");
  if (backend_->in_use) return fail(EBUSY, "can't use already busy memdev: ", backend_->name());
  TRY(memory_devices().plug(*this));
  backend_->in_use = true;
  return {};
}

void PcDimm::do_unrealize() {
  memory_devices().unplug(*this);
  backend_->in_use = false;
}

void register_mem_types(TypeRegistry& registry) {
  registry.add(PcDimm::kType);
}

}  // namespace rhea
