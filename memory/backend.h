// memory-backend-ram: RAM made with -object, which a machine then uses.
#pragma once

#include "memory/guest_ram.h"
#include "qom/object.h"

namespace rhea {

class MemoryBackendRam final : public Object {
 public:
  static const TypeInfo kBackendType;  ///< "memory-backend", abstract
  static const TypeInfo kType;         ///< "memory-backend-ram"
  const TypeInfo& type() const override { return kType; }

  /// Makes the memory; the properties are set. Errors name the property.
  Result<> complete();
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

/// Makes the object that `options` ("qom-type", "id" and its properties) describe, at /objects/ID: -object
/// and object-add.
struct ObjectOptions;
Result<> object_add(const ObjectOptions& options);
Result<> object_add(Json options, ValueForm form);

}  // namespace rhea
