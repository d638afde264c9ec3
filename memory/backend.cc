#include "memory/backend.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <thread>

#include "qapi/qapi_commands_machine.h"

namespace rhea {

namespace {

constexpr uint16_t kMaxHostNodes = 128;
constexpr uint32_t kMaxPreallocThreads = 256;
constexpr long kHugetlbfsMagic = 0x958458f6;

template <class T>
std::shared_ptr<Object> make() {
  return std::make_shared<T>();
}

Json get_host_nodes(const Object& o) {
  Json list = Json::array();
  for (uint16_t node : static_cast<const MemoryBackend&>(o).host_nodes) list.push_back(node);
  return list;
}

/// A list, or "0-2" and the like where all is text.
Result<> set_host_nodes(Object& o, std::string_view name, const Json& value, ValueForm form) {
  std::vector<uint16_t> nodes;
  auto add = [&](uint64_t first, uint64_t last) -> Result<> {
    if (first > last || last >= kMaxHostNodes) return fail(EINVAL, "Invalid host-nodes value: ", last);
    for (uint64_t n = first; n <= last; ++n)
      if (std::ranges::find(nodes, n) == nodes.end()) nodes.push_back(static_cast<uint16_t>(n));
    return {};
  };
  if (value.is_array()) {
    for (const Json& item : value.as_array()) {
      const uint64_t n = TRY(property_uint(name, item, form, UINT16_MAX));
      TRY(add(n, n));
    }
  } else if (form == ValueForm::kKeyval && value.is_string()) {
    const std::string& text = value.as_string();
    const size_t dash = text.find('-');
    uint64_t first = 0, last = 0;
    if (!parse_u64(text.substr(0, dash), first))
      return fail(EINVAL, "Parameter '", name, "' expects an int64 value or range");
    last = first;
    if (dash != std::string::npos && !parse_u64(text.substr(dash + 1), last))
      return fail(EINVAL, "Parameter '", name, "' expects an int64 value or range");
    TRY(add(first, last));
  } else {
    return fail(EINVAL, "Invalid parameter type for '", name, "', expected: array");
  }
  std::ranges::sort(nodes);
  static_cast<MemoryBackend&>(o).host_nodes = std::move(nodes);
  return {};
}

Result<> set_threads(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const uint64_t n = TRY(property_uint(name, value, form, UINT32_MAX));
  if (n == 0 || n > kMaxPreallocThreads)
    return fail(EINVAL, "property 'prealloc-threads' of ", o.type().name, " doesn't take value '", n, "'");
  static_cast<MemoryBackend&>(o).prealloc_threads = static_cast<uint32_t>(n);
  return {};
}

constexpr PropertyInfo threads_property() {
  PropertyInfo info =
      prop<&MemoryBackend::prealloc_threads>("prealloc-threads", "Number of CPU threads to use for prealloc");
  info.type = "int";
  info.set = set_threads;
  return info;
}

uint64_t round_up(uint64_t n, uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace

constexpr PropertyInfo MemoryBackend::kProperties[] = {
    prop_size<&MemoryBackend::size>("size", "Size of the memory region (ex: 500M)"),
    prop<&MemoryBackend::dump>("dump", "Set to 'off' to exclude from core dump"),
    prop<&MemoryBackend::merge>("merge", "Mark memory as mergeable"),
    prop<&MemoryBackend::prealloc>("prealloc", "Preallocate memory"),
    threads_property(),
    prop<&MemoryBackend::share>("share", "Mark the memory as private to QEMU or shared"),
    prop<&MemoryBackend::reserve>("reserve", "Reserve swap space (or huge pages) if applicable"),
    {.name = "host-nodes",
     .type = "int",
     .description = "Binds memory to the list of NUMA host nodes",
     .get = get_host_nodes,
     .set = set_host_nodes},
    prop<&MemoryBackend::policy>("policy", "Set the NUMA policy"),
    prop<&MemoryBackend::canonical_block_name>("x-use-canonical-path-for-ramblock-id")};
constexpr TypeInfo MemoryBackend::kType{.name = "memory-backend",
                                        .parent = &Object::kType,
                                        .properties = MemoryBackend::kProperties,
                                        .interfaces = UserCreatable::kInterfaces};
constexpr TypeInfo MemoryBackendRam::kType{.name = "memory-backend-ram",
                                           .parent = &MemoryBackend::kType,
                                           .create = make<MemoryBackendRam>,
                                           .user_creatable = true};
constexpr PropertyInfo MemoryBackendFile::kProperties[] = {
    prop<&MemoryBackendFile::mem_path>("mem-path"), prop_size<&MemoryBackendFile::align>("align"),
    prop<&MemoryBackendFile::discard_data>("discard-data"), prop<&MemoryBackendFile::pmem>("pmem"),
    prop<&MemoryBackendFile::readonly>("readonly")};
constexpr TypeInfo MemoryBackendFile::kType{.name = "memory-backend-file",
                                            .parent = &MemoryBackend::kType,
                                            .create = make<MemoryBackendFile>,
                                            .properties = MemoryBackendFile::kProperties,
                                            .user_creatable = true};
constexpr PropertyInfo MemoryBackendMemfd::kProperties[] = {
    prop<&MemoryBackendMemfd::hugetlb>("hugetlb", "Use huge pages"),
    prop_size<&MemoryBackendMemfd::hugetlbsize>("hugetlbsize", "Huge pages size (ex: 2M, 1G)"),
    prop<&MemoryBackendMemfd::seal>("seal", "Seal growing & shrinking")};
constexpr TypeInfo MemoryBackendMemfd::kType{.name = "memory-backend-memfd",
                                             .parent = &MemoryBackend::kType,
                                             .create = make<MemoryBackendMemfd>,
                                             .properties = MemoryBackendMemfd::kProperties,
                                             .user_creatable = true};

Result<> MemoryBackend::check_policy() const {
  const char* name = EnumTraits<HostMemPolicy>::kNames[static_cast<size_t>(policy)].name;
  if (policy == HostMemPolicy::kDefault && !host_nodes.empty())
    return fail(EINVAL,
                "host-nodes must be empty for policy default, or you should explicitly specify a policy "
                "other than default");
  if (policy != HostMemPolicy::kDefault && host_nodes.empty())
    return fail(EINVAL, "host-nodes must be set for policy ", name);
  return {};
}

Result<> MemoryBackend::bind_to_nodes() {
  if (policy == HostMemPolicy::kDefault) return {};
  static constexpr int kModes[] = {MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE};
  std::array<unsigned long, kMaxHostNodes / 64 + 1> mask{};
  for (uint16_t node : host_nodes) mask[node / 64] |= 1ul << node % 64;
  const unsigned flags = MPOL_MF_STRICT | MPOL_MF_MOVE;
  if (syscall(SYS_mbind, block_->host(), block_->size(), kModes[static_cast<size_t>(policy)], mask.data(),
              static_cast<unsigned long>(host_nodes.back()) + 2, flags) == 0)
    return {};
  return fail_errno(errno, "cannot bind memory to host NUMA nodes");
}

Result<> MemoryBackend::preallocate() {
  if (!prealloc) return {};
  const unsigned threads = std::max(prealloc_threads, 1u);
  const uint64_t page = std::max<uint64_t>(block_->page_bytes(), kPageSize);
  const uint64_t share_of_one = round_up(block_->size() / threads + 1, page);
  std::vector<int> errors(threads, 0);
  auto touch = [&](unsigned i) {
    const uint64_t from = std::min<uint64_t>(i * share_of_one, block_->size());
    const uint64_t bytes = std::min(share_of_one, block_->size() - from);
    if (bytes != 0 && madvise(block_->host() + from, bytes, MADV_POPULATE_WRITE) < 0) errors[i] = errno;
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 1; i < threads; ++i) workers.emplace_back(touch, i);
    touch(0);
  }
  for (int error : errors)
    if (error != 0) return fail_errno(error, "qemu_prealloc_mem: preallocating memory failed");
  return {};
}

Result<> MemoryBackend::complete() {
  if (size == 0) return fail(EINVAL, "can't create backend with size 0");
  if (prealloc && !reserve) return fail(EINVAL, "'prealloc=on' and 'reserve=off' are incompatible");
  TRY(check_policy());
  uint64_t bytes = round_up(size, kPageSize);
  RamBacking backing = TRY(open_backing(bytes));
  backing.reserve = reserve;
  block_ = TRY(RamBlock::map(canonical_block_name ? path() : name(), bytes, std::move(backing)));
  if (!dump) madvise(block_->host(), block_->size(), MADV_DONTDUMP);
  if (merge) madvise(block_->host(), block_->size(), MADV_MERGEABLE);
  TRY(bind_to_nodes());
  return preallocate();
}

Result<RamBacking> MemoryBackendRam::open_backing(uint64_t&) {
  RamBacking backing;
  backing.shared = share;
  return backing;
}

MemoryBackendFile::~MemoryBackendFile() {
  if (discard_data && block() != nullptr) madvise(block()->host(), block()->size(), MADV_REMOVE);
}

Result<UniqueFd> MemoryBackendFile::open_file(bool& created) const {
  const int access = readonly ? O_RDONLY : O_RDWR;
  UniqueFd fd(::open(mem_path.c_str(), access | O_CLOEXEC));
  if (fd) return fd;
  if (errno == ENOENT && !readonly) {
    fd = UniqueFd(::open(mem_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    created = static_cast<bool>(fd);
  } else if (errno == EISDIR) {
    std::string text = str_cat(mem_path, "/qemu_back_mem.", name(), ".XXXXXX");
    fd = UniqueFd(::mkostemp(text.data(), O_CLOEXEC));
    if (fd) ::unlink(text.c_str());
    created = static_cast<bool>(fd);
  }
  if (!fd) return fail_errno(errno, "can't open backing store ", mem_path, " for guest RAM");
  return fd;
}

Result<RamBacking> MemoryBackendFile::open_backing(uint64_t& bytes) {
  if (mem_path.empty()) return fail(EINVAL, "mem-path property not set");
  if (pmem) return fail(ENOTSUP, "Parameter 'pmem' needs libpmem, which this build has not");
  if (align != 0 && !std::has_single_bit(align))
    return fail(EINVAL, "alignment 0x", hex(align), " must be a power of two");
  bool created = false;
  RamBacking backing;
  backing.shared = share;
  backing.readonly = readonly;
  backing.fd = TRY(open_file(created));
  struct stat st {};
  struct statfs fs {};
  if (::fstat(backing.fd.get(), &st) < 0 || ::fstatfs(backing.fd.get(), &fs) < 0)
    return fail_errno(errno, "can't look at backing store ", mem_path);
  const uint64_t page = fs.f_type == kHugetlbfsMagic ? static_cast<uint64_t>(fs.f_bsize) : kPageSize;
  backing.page_bytes = page;
  backing.align = std::max(align, page);
  if (align % page != 0)
    return fail(EINVAL, "alignment 0x", hex(align), " must be multiples of page size 0x", hex(page));
  if (size < page)
    return fail(EINVAL, "memory size 0x", hex(size), " must be equal to or larger than page size 0x",
                hex(page));
  bytes = round_up(bytes, page);
  const auto have = static_cast<uint64_t>(st.st_size);
  if (S_ISREG(st.st_mode) && have != 0 && have < size)
    return fail(EINVAL, "backing store size 0x", hex(have), " does not match 'size' option 0x", hex(size));
  if (S_ISREG(st.st_mode) && !readonly && have < bytes &&
      ::ftruncate(backing.fd.get(), static_cast<off_t>(bytes)) < 0) {
    const int error = errno;
    if (created) ::unlink(mem_path.c_str());
    return fail_errno(error, "can't make backing store ", mem_path, " as large as ", bytes, " bytes");
  }
  return backing;
}

Result<RamBacking> MemoryBackendMemfd::open_backing(uint64_t& bytes) {
  unsigned flags = MFD_CLOEXEC | (seal ? MFD_ALLOW_SEALING : 0u);
  RamBacking backing;
  backing.shared = share;
  if (hugetlb) {
    flags |= MFD_HUGETLB;
    if (hugetlbsize != 0) {
      if (!std::has_single_bit(hugetlbsize) || hugetlbsize < kPageSize)
        return fail(EINVAL, "huge page size 0x", hex(hugetlbsize), " must be a power of two");
      flags |= static_cast<unsigned>(std::countr_zero(hugetlbsize)) << MAP_HUGE_SHIFT;
    }
  } else if (hugetlbsize != 0) {
    return fail(EINVAL, "hugetlbsize needs hugetlb=on");
  }
  backing.fd = UniqueFd(::memfd_create("memory-backend-memfd", flags));
  if (!backing.fd) return fail_errno(errno, "failed to create memfd");
  struct statfs fs {};
  if (::fstatfs(backing.fd.get(), &fs) == 0 && fs.f_type == kHugetlbfsMagic) {
    backing.page_bytes = backing.align = static_cast<uint64_t>(fs.f_bsize);
    bytes = round_up(bytes, backing.page_bytes);
  }
  if (::ftruncate(backing.fd.get(), static_cast<off_t>(bytes)) < 0)
    return fail_errno(errno, "failed to resize memfd to ", bytes);
  if (seal && ::fcntl(backing.fd.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
    return fail_errno(errno, "failed to add seals");
  return backing;
}

Result<std::shared_ptr<RamBlock>> claim_memory_backend(const std::string& id) {
  auto* memory = dynamic_cast<MemoryBackend*>(qom_root().container("/objects").child(id));
  if (memory == nullptr) return fail(ENOENT, "Memory backend '", id, "' not found");
  if (memory->in_use) return fail(EBUSY, "memory backend '", id, "' can't be used multiple times.");
  memory->in_use = true;
  return memory->block();
}

namespace {

Result<> make_machine_backend(const MachineRam& ram, Object& objects) {
  std::shared_ptr<MemoryBackend> made;
  if (ram.mem_path.empty()) {
    made = std::make_shared<MemoryBackendRam>();
  } else {
    auto file = std::make_shared<MemoryBackendFile>();
    file->mem_path = ram.mem_path;
    made = file;
  }
  made->size = ram.bytes;
  made->prealloc = ram.prealloc;
  made->merge = ram.merge;
  made->dump = ram.dump;
  made->canonical_block_name = false;
  objects.add_child(ram.default_id, std::static_pointer_cast<Object>(made));
  Result<> completed = made->complete();
  if (!completed) made->unparent();
  return completed;
}

}  // namespace

Result<std::shared_ptr<RamBlock>> machine_ram(const MachineRam& ram) {
  Object& objects = qom_root().container("/objects");
  if (ram.backend.empty()) {
    if (objects.child(ram.default_id) != nullptr)
      return fail(EEXIST, "object's id '", ram.default_id,
                  "' is reserved for the default RAM backend, it can't be used for any other purposes.");
    TRY(make_machine_backend(ram, objects));
    return claim_memory_backend(ram.default_id);
  }
  std::shared_ptr<RamBlock> block = TRY(claim_memory_backend(ram.backend));
  if (block->size() == ram.bytes) return block;
  static_cast<MemoryBackend*>(objects.child(ram.backend))->in_use = false;
  return fail(EINVAL, "Machine memory size does not match the size of the memory backend");
}

Result<std::vector<Memdev>> qmp_query_memdev(QmpContext&) {
  std::vector<Memdev> list;
  for (const auto& child : qom_root().container("/objects").children()) {
    const auto* backend = dynamic_cast<const MemoryBackend*>(child.get());
    if (backend == nullptr) continue;
    Memdev& info = list.emplace_back();
    info.id = backend->name();
    info.size = backend->size;
    info.merge = backend->merge;
    info.dump = backend->dump;
    info.prealloc = backend->prealloc;
    info.share = backend->share;
    info.reserve = backend->reserve;
    info.host_nodes = backend->host_nodes;
    info.policy = backend->policy;
  }
  return list;
}

}  // namespace rhea
