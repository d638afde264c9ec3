// The "tap" back end: Linux's universal TUN/TAP driver (Documentation/networking/tuntap.rst).
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "net/backends.h"
#include "qapi/qapi_types_net.h"
#include "util/aio_context.h"

namespace rhea {

namespace {

constexpr size_t kTapMaxFrame = 68 << 10;
constexpr int kFramesAtOnce = 64;  ///< then others have their turn

class NetTap final : public NetBackend {
 public:
  /// `header`: bytes the driver puts before each frame.
  NetTap(std::string id, AioContext& loop, UniqueFd tap, std::string text, size_t header)
      : NetBackend(std::move(id), loop), tap_(std::move(tap)), text_(std::move(text)), header_(header) {
    watch_ = loop.watch_fd(tap_.get(), EPOLLIN, [this](uint32_t) { read_some(); });
  }
  std::string_view kind() const override { return "tap"; }
  std::string description() const override { return text_; }

 private:
  void do_send(std::span<const uint8_t> frame) override {
    uint8_t nothing[16] = {};
    const iovec parts[] = {{nothing, header_}, {const_cast<uint8_t*>(frame.data()), frame.size()}};
    std::ignore = ::writev(tap_.get(), parts, 2);  // what does not fit is lost, as on a wire
  }
  void room_again() override { watch_->set_events(EPOLLIN); }
  void read_some() {
    for (int i = 0; i < kFramesAtOnce && has_room(); ++i) {
      const ssize_t n = ::read(tap_.get(), buffer_, sizeof buffer_);
      if (n < 0 && errno == EINTR) continue;
      if (n <= static_cast<ssize_t>(header_)) break;
      deliver({buffer_ + header_, static_cast<size_t>(n) - header_});
    }
    if (!has_room()) watch_->set_events(0);
  }

  UniqueFd tap_;
  const std::string text_;
  const size_t header_;
  std::unique_ptr<FdWatch> watch_;
  uint8_t buffer_[kTapMaxFrame];
};

/// Opens a tap device; `name` empty: the kernel chooses, and it is told.
Result<UniqueFd> open_tap(std::string& name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "could not open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (name.size() >= sizeof request.ifr_name) return fail(EINVAL, "interface name '", name, "' is too long");
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    if (name.empty()) return fail_errno(errno, "could not configure /dev/net/tun");
    return fail_errno(errno, "could not configure /dev/net/tun (", name, ")");
  }
  name = request.ifr_name;
  return fd;
}

}  // namespace

Result<std::unique_ptr<NetBackend>> create_net_tap(std::string id, AioContext& loop,
                                                   const NetdevTapOptions& options, UniqueFd given) {
  UniqueFd fd;
  std::string text;
  size_t header = 0;
  if (options.fd) {
    if (options.ifname || options.script || options.downscript)
      return fail(EINVAL,
                  "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= are "
                  "invalid with fd=");
    const int number = given.get();
    ifreq request{};
    if (::fcntl(number, F_SETFL, O_NONBLOCK) != 0)
      return fail_errno(errno, id, ": Can't use file descriptor ", number);
    if (::ioctl(number, TUNGETIFF, &request) != 0)
      return fail_errno(errno, "Unable to query TUNGETIFF on FD ", number);
    if ((request.ifr_flags & IFF_VNET_HDR) != 0) {
      int bytes = 10;
      std::ignore = ::ioctl(number, TUNSETVNETHDRSZ, &bytes);
      header = 10;
    }
    fd = std::move(given);
    text = str_cat("fd=", number);
  } else {
    if (options.script.value_or("") != "no" || options.downscript.value_or("") != "no")
      return fail(ENOTSUP, "scripts are not run for tap devices: give script=no and downscript=no");
    std::string name = options.ifname.value_or("");
    fd = TRY(open_tap(name));
    text = str_cat("ifname=", name, ",script=no,downscript=no");
  }
  return std::make_unique<NetTap>(std::move(id), loop, std::move(fd), std::move(text), header);
}

}  // namespace rhea
