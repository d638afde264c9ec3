#include "memory/backend.h"

#include <sys/mman.h>

namespace rhea {

static std::shared_ptr<Object> make_backend() {
  return std::make_shared<MemoryBackendRam>();
}

constexpr PropertyInfo MemoryBackendRam::kProperties[] = {
    prop_size<&MemoryBackendRam::size>("size", "Size of the memory region (ex: 500M)"),
    prop<&MemoryBackendRam::dump>("dump", "Set to 'off' to exclude from core dump"),
    prop<&MemoryBackendRam::merge>("merge", "Mark memory as mergeable"),
    prop<&MemoryBackendRam::prealloc>("prealloc", "Preallocate memory"),
    prop<&MemoryBackendRam::share>("share", "Mark the memory as private to QEMU or shared"),
};
constexpr TypeInfo MemoryBackendRam::kBackendType{.name = "memory-backend",
                                                  .parent = &Object::kType,
                                                  .properties = MemoryBackendRam::kProperties,
                                                  .interfaces = UserCreatable::kInterfaces};
constexpr TypeInfo MemoryBackendRam::kType{.name = "memory-backend-ram",
                                           .parent = &MemoryBackendRam::kBackendType,
                                           .create = make_backend,
                                           .user_creatable = true};

Result<> MemoryBackendRam::complete() {
  if (size == 0) return fail(EINVAL, "can't create backend with size 0");
  if (share) return fail(ENOTSUP, "Parameter 'share' is not available for type 'memory-backend-ram'");
  block_ = TRY(RamBlock::create(name(), (size + kPageSize - 1) & ~(kPageSize - 1)));
  if (!dump) madvise(block_->host(), block_->size(), MADV_DONTDUMP);
  if (merge) madvise(block_->host(), block_->size(), MADV_MERGEABLE);
  if (prealloc && madvise(block_->host(), block_->size(), MADV_POPULATE_WRITE) < 0)
    return fail_errno(errno, "cannot preallocate memory");
  return {};
}

Result<std::shared_ptr<RamBlock>> machine_ram(const std::string& backend, const char* default_id,
                                              uint64_t bytes) {
  if (backend.empty()) return RamBlock::create(default_id, bytes);
  Object* object = qom_root().container("/objects").child(backend);
  auto* memory = dynamic_cast<MemoryBackendRam*>(object);
  if (memory == nullptr) return fail(ENOENT, "Memory backend '", backend, "' not found");
  if (memory->in_use) return fail(EBUSY, "memory backend '", backend, "' can't be used multiple times.");
  if (memory->block()->size() != bytes)
    return fail(
        EINVAL,
        "Size specified by -m option must match size of explicitly specified 'memory-backend' property");
  memory->in_use = true;
  return memory->block();
}

}  // namespace rhea
