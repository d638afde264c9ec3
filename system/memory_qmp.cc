// QMP: memsave, pmemsave.
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "accel/accel.h"
#include "accel/x86_paging.h"
#include "hw/core/machine.h"
#include "memory/memory.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qmp_context.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

Result<> write_all(int fd, std::span<const uint8_t> data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "writing memory to file");
    data = data.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<UniqueFd> create_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return fail_errno(errno, "Could not open '", path, "'");
  return fd;
}

/// Copies [address, address + bytes) to the file, page by page; `translate` gives the physical address of a
/// page's part. What is not there reads as ones.
template <class Translate>
Result<> save(const std::string& path, uint64_t address, uint64_t bytes, const Translate& translate) {
  const UniqueFd fd = TRY(create_file(path));
  std::array<uint8_t, kPageSize> page{};
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t at = address + done;
    const uint64_t here = std::min(bytes - done, kPageSize - at % kPageSize);
    const std::optional<uint64_t> physical = translate(at);
    if (!physical) return fail(EINVAL, "Invalid addr 0x", hex(at, 16), "/size ", bytes - done, " specified");
    std::ignore = memory_space().read(*physical, page.data(), here);  // holes are no error
    TRY(write_all(fd.get(), {page.data(), here}));
    done += here;
  }
  return {};
}

Result<> check_size(int64_t size) {
  if (size < 0) return fail(EINVAL, "Parameter 'size' expects a size");
  return {};
}

}  // namespace

Result<> qmp_memsave(QmpContext&, MemsaveArgs args) {
  TRY(check_size(args.size));
  const auto index = static_cast<uint64_t>(args.cpu_index.value_or(0));
  Accelerator* accel = machine_accelerator();
  if (accel == nullptr || index >= accel->vcpus().size())
    return fail(EINVAL, "Parameter 'cpu-index' expects a CPU number");
  const X86State state = TRY(accel->vcpus()[index]->get_state());
  const X86ReadPhysical read = [](uint64_t address, unsigned bytes) {
    return memory_space().load(address, bytes);
  };
  return save(args.filename, static_cast<uint64_t>(args.val), static_cast<uint64_t>(args.size),
              [&](uint64_t at) { return x86_translate(state, at, read); });
}

Result<> qmp_pmemsave(QmpContext&, PmemsaveArgs args) {
  TRY(check_size(args.size));
  return save(args.filename, static_cast<uint64_t>(args.val), static_cast<uint64_t>(args.size),
              [](uint64_t at) { return std::optional<uint64_t>(at); });
}

}  // namespace rhea
