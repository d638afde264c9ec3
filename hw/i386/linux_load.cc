// Reads kernel and initrd files for a direct boot.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "hw/i386/linux_boot.h"
#include "util/unique_fd.h"

namespace rhea {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 31;  // nothing larger fits below 4 GiB with the rest
constexpr size_t kStep = 1 << 20;

Failure cannot_load(int errnum, std::string_view what, const std::string& path, std::string_view reason) {
  return fail(errnum, "could not load ", what, " '", path, "': ", reason);
}

// Reads to the end, so that pipes work too.
Result<Bytes> read_whole(std::string_view what, const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return cannot_load(errno, what, path, errno_text(errno));
  Bytes data;
  for (size_t used = 0;;) {
    if (used > kMaxFileBytes) return cannot_load(EFBIG, what, path, errno_text(EFBIG));
    data.resize(used + kStep);
    ssize_t got = ::read(fd.get(), data.data() + used, kStep);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_load(errno, what, path, errno_text(errno));
    used += static_cast<size_t>(got);
    if (got == 0) {
      data.resize(used);
      return data;
    }
  }
}

}  // namespace

Result<LinuxBoot> load_linux_boot(const std::string& kernel_path, const std::string& initrd_path,
                                  std::string command_line, uint64_t ram_below_4g) {
  LinuxBootRequest request;
  request.kernel = TRY(read_whole("kernel", kernel_path));
  if (!initrd_path.empty()) request.initrd = TRY(read_whole("initrd", initrd_path));
  request.command_line = std::move(command_line);
  request.ram_below_4g = ram_below_4g;
  Result<LinuxBoot> boot = prepare_linux_boot(std::move(request));
  if (!boot) return cannot_load(boot.error().errnum(), "kernel", kernel_path, boot.error().message());
  return boot;
}

}  // namespace rhea
