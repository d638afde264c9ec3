// A serial line of the host, or anything else behind a device file.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>

#include "chardev/backends.h"
#include "chardev/fd_chardev.h"
#include "util/fdset.h"

namespace rhea {

namespace {

constexpr SerialLine kDefaultLine{.speed = 115200, .parity = 'N', .data_bits = 8, .stop_bits = 1};

struct Speed {
  uint32_t bits_per_second;
  speed_t code;
};
constexpr Speed kSpeeds[] = {
    {50, B50},           {75, B75},           {110, B110},         {134, B134},         {150, B150},
    {200, B200},         {300, B300},         {600, B600},         {1200, B1200},       {1800, B1800},
    {2400, B2400},       {4800, B4800},       {9600, B9600},       {19200, B19200},     {38400, B38400},
    {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
    {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1152000, B1152000}, {1500000, B1500000},
    {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000}, {3500000, B3500000}, {4000000, B4000000}};

/// The speed nearest to what the guest's divider gives, which seldom divides evenly.
speed_t nearest_speed(uint32_t wanted) {
  const auto distance = [&](const Speed& s) {
    return s.bits_per_second > wanted ? s.bits_per_second - wanted : wanted - s.bits_per_second;
  };
  return std::ranges::min_element(kSpeeds, {}, distance)->code;
}

tcflag_t size_flag(uint8_t data_bits) {
  constexpr tcflag_t kSizes[] = {CS5, CS6, CS7, CS8};
  return kSizes[std::clamp<int>(data_bits, 5, 8) - 5];
}

void apply_line(int fd, const SerialLine& line) {
  termios t{};
  if (tcgetattr(fd, &t) < 0) return;  // no terminal: a null device, a test's socket
  cfmakeraw(&t);
  t.c_cflag &= ~static_cast<tcflag_t>(CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS);
  t.c_cflag |= CLOCAL | CREAD | size_flag(line.data_bits);
  if (line.parity != 'N') t.c_cflag |= PARENB;
  if (line.parity == 'O') t.c_cflag |= PARODD;
  if (line.stop_bits == 2) t.c_cflag |= CSTOPB;
  cfsetspeed(&t, nearest_speed(line.speed));
  tcsetattr(fd, TCSANOW, &t);
}

class SerialChardev final : public FdChardev {
 public:
  SerialChardev(ChardevRequest& request, UniqueFd fd) : FdChardev(request.label, request.loop) {
    apply_line(fd.get(), kDefaultLine);
    start_io(std::move(fd), UniqueFd());
    set_open(true);
  }
  std::string_view backend() const override { return "serial"; }

 private:
  void send_break() override { tcsendbreak(in_fd(), 0); }
  void set_line(const SerialLine& line) override { apply_line(in_fd(), line); }
  std::optional<uint32_t> modem_lines() override {
    int lines = 0;
    if (ioctl(in_fd(), TIOCMGET, &lines) < 0) return std::nullopt;
    return static_cast<uint32_t>(lines);
  }
  void set_modem_lines(uint32_t lines) override {
    int now = 0;
    if (ioctl(in_fd(), TIOCMGET, &now) < 0) return;
    now = (now & ~(TIOCM_DTR | TIOCM_RTS)) | static_cast<int>(lines & (TIOCM_DTR | TIOCM_RTS));
    ioctl(in_fd(), TIOCMSET, &now);
  }
};

}  // namespace

ChardevResult create_serial(ChardevRequest& request) {
  const std::string path = request.options.take("path");
  if (path.empty()) return fail(EINVAL, "chardev: serial/tty: no device path given");
  UniqueFd fd(open_file(path, O_RDWR | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno(errno, "Could not open '", path, "'");
  return std::make_unique<SerialChardev>(request, std::move(fd));
}

}  // namespace rhea
