// memory-backend-ram: RAM made with -object, which a machine then uses.
#pragma once

#include "memory/guest_ram.h"
#include "qom/user_creatable.h"

namespace rhea {

class MemoryBackendRam final : public UserCreatable {
 public:
  static const TypeInfo kBackendType;  ///< "memory-backend", abstract
  static const TypeInfo kType;         ///< "memory-backend-ram"
  const TypeInfo& type() const override { return kType; }

  /// Makes the memory; the properties are set. Errors name the property.
  Result<> complete() override;
  bool can_be_deleted() const override { return !in_use; }
  const std::shared_ptr<RamBlock>& block() const { return block_; }
  bool in_use = false;

  uint64_t size = 0;
  bool dump = true, merge = true, prealloc = false, share = false;

 private:
  static const PropertyInfo kProperties[];
  std::shared_ptr<RamBlock> block_;
};

/// The machine's RAM of `bytes`: that of backend `backend` under /objects (then of the same size), or new
/// under `default_id`.
Result<std::shared_ptr<RamBlock>> machine_ram(const std::string& backend, const char* default_id,
                                              uint64_t bytes);

}  // namespace rhea
