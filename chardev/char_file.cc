// Backends over named files: file and pipe.
#include <fcntl.h>

#include "chardev/backends.h"
#include "chardev/fd_chardev.h"
#include "util/fdset.h"

namespace rhea {

namespace {

Result<UniqueFd> open_path(const std::string& path, int flags) {
  UniqueFd fd(open_file(path, flags));
  if (!fd) return fail_errno(errno, "Could not open '", path, "'");
  return fd;
}

class FileChardev final : public FdChardev {
 public:
  FileChardev(ChardevRequest& request, std::string_view backend, UniqueFd in, UniqueFd out)
      : FdChardev(request.label, request.loop), backend_(backend) {
    if (in) set_nonblocking(in.get());
    set_nonblocking(out.get());
    start_io(std::move(in), std::move(out));
    set_open(true);
  }
  std::string_view backend() const override { return backend_; }

 private:
  std::string_view backend_;
};

}  // namespace

ChardevResult create_file(ChardevRequest& request) {
  const std::string path = request.options.take("path");
  if (path.empty()) return fail(EINVAL, "chardev: file: no filename given");
  const bool append = TRY(request.options.take_bool("append", false));
  const std::string input_path = request.options.take("input-path");
  UniqueFd out = TRY(open_path(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC)));
  UniqueFd in;
  if (!input_path.empty()) in = TRY(open_path(input_path, O_RDONLY));
  return std::make_unique<FileChardev>(request, "file", std::move(in), std::move(out));
}

ChardevResult create_pipe(ChardevRequest& request) {
  const std::string path = request.options.take("path");
  if (path.empty()) return fail(EINVAL, "chardev: pipe: no device path given");
  // Both ways open so that neither end blocks for want of a peer.
  UniqueFd in(open_file(path + ".in", O_RDWR));
  UniqueFd out(open_file(path + ".out", O_RDWR));
  if (!in || !out) {
    in = TRY(open_path(path, O_RDWR));
    out.reset(fcntl(in.get(), F_DUPFD_CLOEXEC, 0));
    if (!out) return fail_errno(errno, "Could not open '", path, "'");
  }
  return std::make_unique<FileChardev>(request, "pipe", std::move(in), std::move(out));
}

}  // namespace rhea
