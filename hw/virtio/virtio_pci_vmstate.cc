// The part of a virtio device's saved state that is the PCI function's, in QEMU 7.2's layout.
#include "hw/virtio/virtio_pci.h"

namespace rhea {

void VirtioPci::save_head(StateWriter& out) {
  PciDevice* const function = this;
  vmstate_save(kPciVmState, function, out);
  if (msix_ == nullptr) return;
  msix_->save(out);
  out.put_be16(config_vector_);
}

Result<> VirtioPci::load_head(StateReader& in) {
  PciDevice* const function = this;
  after_status();
  TRY(vmstate_load(kPciVmState, function, in, kPciVmState.version));
  loaded_queues_.clear();
  if (msix_ == nullptr) return {};
  msix_->load(in);
  config_vector_ = checked_vector(in.get_be16());
  return {};
}

void VirtioPci::set_registers(const Registers& registers) {
  isr_ = registers.isr;
  queue_select_ = registers.queue_select;
}

/// What belongs to the modern registers alone, friend of the class.
struct VirtioPciWire {
  static void put_half(StateWriter& out, uint64_t v) {
    out.put_be32(static_cast<uint32_t>(v));
    out.put_be32(static_cast<uint32_t>(v >> 32));
  }
  static uint64_t get_halves(StateReader& in) {
    const uint64_t low = in.get_be32();
    return low | uint64_t{in.get_be32()} << 32;
  }
  static void save(VirtioPci& f, StateWriter& out) {
    out.put_be32(f.device_feature_select_);
    out.put_be32(f.driver_feature_select_);
    put_half(out, f.driver_features_);
    const bool modern = f.backend_->has_feature(virtio::kVersion1);
    for (size_t i = 0; i < virtio::kMaxQueues; ++i) {
      const VirtioQueue* const q = modern ? f.backend_->queue(i) : nullptr;
      out.put_be16(q != nullptr ? q->size : uint16_t{0});
      out.put_u8(0);
      out.put_u8(q != nullptr && q->enabled ? 1 : 0);
      put_half(out, q != nullptr ? q->descriptors : 0);
      put_half(out, q != nullptr ? q->driver : 0);
      put_half(out, q != nullptr ? q->device : 0);
    }
  }
  static void load(VirtioPci& f, StateReader& in) {
    f.device_feature_select_ = in.get_be32();
    f.driver_feature_select_ = in.get_be32();
    f.driver_features_ = get_halves(in);
    f.loaded_queues_.resize(virtio::kMaxQueues);
    for (VirtioPci::LoadedQueue& q : f.loaded_queues_) {
      in.get_be16();  // its size is with the device's queues
      in.get_u8();
      q.enabled = in.get_u8() != 0;
      q.descriptors = get_halves(in);
      q.driver = get_halves(in);
      q.device = get_halves(in);
    }
  }
};

namespace {
constexpr VMStateField kModernFields[] = {
    {.name = "modern_state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           VirtioPciWire::save(const_cast<VirtioPci&>(*static_cast<const VirtioPci*>(o)), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       VirtioPciWire::load(*static_cast<VirtioPci*>(o), in);
       return {};
     }}};
constexpr VMState kModernState{
    .name = "virtio_pci/modern_state", .fields = kModernFields, .needed = [](const void* o) {
      return !static_cast<const VirtioPci*>(o)->disable_modern;
    }};
constexpr const VMState* kVirtioPciParts[] = {&kModernState};
constexpr VMState kVirtioPciState{.name = "virtio_pci", .subsections = kVirtioPciParts};
}  // namespace

const VMState* VirtioPci::extra_state() const {
  return migrate_extra ? &kVirtioPciState : nullptr;
}

/// Addresses written for a queue that is not enabled yet are known here alone.
void VirtioPci::state_loaded() {
  for (size_t i = 0; i < loaded_queues_.size(); ++i) {
    VirtioQueue* const queue = backend_->queue(i);
    const LoadedQueue& from = loaded_queues_[i];
    if (queue == nullptr || queue->enabled || from.enabled) continue;
    queue->descriptors = from.descriptors;
    queue->driver = from.driver;
    queue->device = from.device;
  }
  loaded_queues_.clear();
  const bool ready = (backend_->status() & virtio::kDriverOk) != 0;
  if (bus_master_bug && ready && !bus_master())
    config_write(pci::kCommand, config()[pci::kCommand] | pci::kCommandMaster, 1);
}

}  // namespace rhea
