// host_device and host_cdrom: nodes over device files of the host.
#include <fcntl.h>
#include <linux/cdrom.h>
#include <sys/ioctl.h>

#include "block/drivers/create_options.h"
#include "block/drivers/drivers.h"
#include "block/drivers/file.h"

namespace rhea {

namespace {

class HostDeviceNode : public FileNode {
 protected:
  Result<> check_type(const struct stat& st) const override {
    if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
      return fail(EINVAL, "'", driver().name, "' driver requires '", exact_filename(),
                  "' to be either a character or block device");
    return {};
  }
};

/// A CD drive of the host opens without a disc, and its length changes with the disc.
class HostCdromNode final : public HostDeviceNode {
 public:
  void refresh_limits(BlockLimits& limits) const override {
    HostDeviceNode::refresh_limits(limits);
    limits.variable_length = true;
  }
  bool is_inserted() const override { return ::ioctl(fd(), CDROM_DRIVE_STATUS, CDSL_CURRENT) == CDS_DISC_OK; }
  CoResult<uint64_t> co_getlength() override {
    if (!is_inserted()) co_return uint64_t{0};
    co_return co_await HostDeviceNode::co_getlength();
  }

 protected:
  int open_flags() const override { return O_NONBLOCK; }
};

int probe_host_device(const std::string& filename) {
  struct stat st {};
  if (::stat(filename.c_str(), &st) != 0) return 0;
  return S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode) ? 100 : 0;
}

int probe_host_cdrom(const std::string& filename) {
  constexpr int kSurerThanAnyDevice = 101;
  struct stat st {};
  if (::stat(filename.c_str(), &st) != 0 || !S_ISBLK(st.st_mode)) return 0;
  UniqueFd fd(::open(filename.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return 0;
  return ::ioctl(fd.get(), CDROM_DRIVE_STATUS, CDSL_CURRENT) >= 0 ? kSurerThanAnyDevice : 0;
}

Result<> strip(std::string_view prefix, const std::string& filename, OptionTree& options) {
  if (filename.starts_with(prefix))
    options.set("filename", filename.substr(prefix.size()), OptionOrigin::kFilename);
  return {};
}

}  // namespace

const BlockDriver kHostDeviceDriver = {
    .name = "host_device",
    .is_protocol = true,
    .needs_filename = true,
    .any_loop = true,
    .protocol_name = "host_device",
    .probe_device = probe_host_device,
    .parse_filename = [](const std::string& f, OptionTree& o) { return strip("host_device:", f, o); },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<HostDeviceNode>(); },
    .create_options = kFileCreateOptions,
    .co_create = co_create_file,
};

const BlockDriver kHostCdromDriver = {
    .name = "host_cdrom",
    .is_protocol = true,
    .needs_filename = true,
    .protocol_name = "host_cdrom",
    .probe_device = probe_host_cdrom,
    .parse_filename = [](const std::string& f, OptionTree& o) { return strip("host_cdrom:", f, o); },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<HostCdromNode>(); },
};

}  // namespace rhea
