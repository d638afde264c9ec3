// Memory backends: RAM made with -object, which a machine or a NUMA node then uses.
#pragma once

#include <vector>

#include "memory/guest_ram.h"
#include "qapi/qapi_types_machine.h"
#include "qom/user_creatable.h"

namespace rhea {

template <>
struct EnumTraits<HostMemPolicy> {
  static constexpr const char* kTypeName = "HostMemPolicy";
  static constexpr EnumName<HostMemPolicy> kNames[] = {{HostMemPolicy::kDefault, "default"},
                                                       {HostMemPolicy::kPreferred, "preferred"},
                                                       {HostMemPolicy::kBind, "bind"},
                                                       {HostMemPolicy::kInterleave, "interleave"}};
};

/// What all backends have.
class MemoryBackend : public UserCreatable {
 public:
  static const TypeInfo kType;  ///< "memory-backend", abstract
  const TypeInfo& type() const override { return kType; }

  /// Makes the memory; the properties are set. Errors name the property.
  Result<> complete() override;
  bool can_be_deleted() const override { return !in_use; }
  const std::shared_ptr<RamBlock>& block() const { return block_; }
  bool in_use = false;

  uint64_t size = 0;
  bool dump = true, merge = true, prealloc = false, share = false, reserve = true;
  uint32_t prealloc_threads = 0;     ///< 0: one
  bool canonical_block_name = true;  ///< the RAM block is called by its path, else by the object's name
  HostMemPolicy policy = HostMemPolicy::kDefault;
  std::vector<uint16_t> host_nodes;

 protected:
  /// Where the memory comes from; `bytes` is the size, rounded up to pages.
  virtual Result<RamBacking> open_backing(uint64_t& bytes) = 0;

 private:
  static const PropertyInfo kProperties[];
  Result<> check_policy() const;
  Result<> bind_to_nodes();
  Result<> preallocate();
  std::shared_ptr<RamBlock> block_;
};

/// Anonymous memory.
class MemoryBackendRam final : public MemoryBackend {
 public:
  static const TypeInfo kType;  ///< "memory-backend-ram"
  const TypeInfo& type() const override { return kType; }

 protected:
  Result<RamBacking> open_backing(uint64_t& bytes) override;
};

/// A file, or a file of its own in a directory (of a hugetlbfs, say).
class MemoryBackendFile final : public MemoryBackend {
 public:
  static const TypeInfo kType;  ///< "memory-backend-file"
  ~MemoryBackendFile() override;
  const TypeInfo& type() const override { return kType; }

  std::string mem_path;
  uint64_t align = 0;         ///< of the mapping; 0: what the file asks for
  bool discard_data = false;  ///< the contents need not reach the disk when it ends
  bool pmem = false, readonly = false;

 protected:
  Result<RamBacking> open_backing(uint64_t& bytes) override;

 private:
  static const PropertyInfo kProperties[];
  Result<UniqueFd> open_file(bool& created) const;
};

/// Memory of a memfd.
class MemoryBackendMemfd final : public MemoryBackend {
 public:
  static const TypeInfo kType;  ///< "memory-backend-memfd"
  MemoryBackendMemfd() { share = true; }
  const TypeInfo& type() const override { return kType; }

  bool hugetlb = false, seal = true;
  uint64_t hugetlbsize = 0;  ///< 0: the host's default

 protected:
  Result<RamBacking> open_backing(uint64_t& bytes) override;

 private:
  static const PropertyInfo kProperties[];
};

/// How a machine's own RAM is made where no backend is named.
struct MachineRam {
  std::string backend;  ///< id of a backend under /objects; empty: one is made
  std::string default_id;
  uint64_t bytes = 0;
  std::string mem_path;  ///< -mem-path; empty: anonymous
  bool prealloc = false;
  bool merge = true, dump = true;
};
/// The machine's RAM; the backend is then in use.
Result<std::shared_ptr<RamBlock>> machine_ram(const MachineRam& ram);
/// The RAM of backend `id`, in use from now on.
Result<std::shared_ptr<RamBlock>> claim_memory_backend(const std::string& id);

}  // namespace rhea
