// Memory modules, and the places a machine has for them. Machine lock.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "hw/core/device.h"
#include "memory/backend.h"
#include "memory/memory.h"

namespace rhea {

class PcDimm;

/// The slots of a machine, and the addresses kept for what is put into them. One a process, as a machine is.
class MemoryDevices {
 public:
  /// Sets the machine's up: `slots` modules of `most_bytes` together. The addresses begin at `base`; each
  /// slot has `kSlack` more of them than it can hold, to align it. None before.
  void set_up(GuestAddr base, uint64_t most_bytes, uint32_t slots, uint32_t nodes);
  void clear();
  /// The region of those addresses; null if there are no slots.
  MemoryRegion* region() const { return region_.get(); }
  GuestAddr base() const { return base_; }
  /// Addresses kept.
  uint64_t window_bytes() const { return region_ != nullptr ? most_bytes_ + slots_ * kSlack : 0; }
  uint32_t slots() const { return slots_; }
  /// Bytes of all modules.
  uint64_t used_bytes() const;
  /// By address.
  const std::vector<PcDimm*>& modules() const { return modules_; }
  /// Null if that slot is empty.
  PcDimm* at(uint32_t slot) const;

  /// Gives the module slot and address and shows its memory; on failure nothing has changed.
  Result<> plug(PcDimm& module);
  void unplug(PcDimm& module);

 private:
  static constexpr uint64_t kSlack = uint64_t{1} << 30;
  Result<uint32_t> choose_slot(const PcDimm& module) const;
  Result<GuestAddr> choose_address(const PcDimm& module, uint64_t bytes) const;

  GuestAddr base_ = 0;
  uint64_t most_bytes_ = 0;
  uint32_t slots_ = 0, nodes_ = 1;
  std::unique_ptr<MemoryRegion> region_;
  std::vector<PcDimm*> modules_;
};
MemoryDevices& memory_devices();

/// "pc-dimm".
class PcDimm final : public Device {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  ~PcDimm() override;

  MemoryBackend* backend() const { return backend_.get(); }
  void set_backend(std::shared_ptr<MemoryBackend> backend) { backend_ = std::move(backend); }
  uint64_t bytes() const { return backend_ != nullptr ? backend_->size : 0; }

  // Properties.
  uint64_t address = 0;  ///< 0: the machine chooses
  int32_t slot = -1;     ///< -1: the machine chooses
  uint32_t node = 0;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  friend class MemoryDevices;
  static const PropertyInfo kProperties[];
  std::shared_ptr<MemoryBackend> backend_;
  std::unique_ptr<MemoryRegion> memory_;  ///< while plugged
};

/// The type of this folder.
void register_mem_types(TypeRegistry& registry);

}  // namespace rhea
