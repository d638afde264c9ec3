#include "hw/core/data_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/unique_fd.h"

namespace rhea {

namespace {
std::function<std::string(const std::string&)>& the_finder() {
  static std::function<std::string(const std::string&)> finder;
  return finder;
}
}  // namespace

void set_data_file_finder(std::function<std::string(const std::string&)> finder) {
  the_finder() = std::move(finder);
}

std::string find_data_file(const std::string& name) {
  if (the_finder()) return the_finder()(name);
  struct stat st {};
  return ::stat(name.c_str(), &st) == 0 && S_ISREG(st.st_mode) ? name : std::string();
}

Result<std::vector<uint8_t>> read_data_file(const std::string& path, uint64_t max_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) < 0) return fail_errno(errno, "cannot read '", path, "'");
  if (st.st_size <= 0 || static_cast<uint64_t>(st.st_size) > max_bytes)
    return fail(EINVAL, "'", path, "' has ", int64_t{st.st_size}, " bytes; up to ", max_bytes,
                " are possible");
  std::vector<uint8_t> bytes(static_cast<size_t>(st.st_size));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::pread(fd.get(), &bytes[done], bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "cannot read '", path, "'");
    done += static_cast<size_t>(n);
  }
  return bytes;
}

}  // namespace rhea
