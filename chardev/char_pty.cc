// A pseudo terminal, for a program of the user's to open.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <cstdio>

#include "chardev/backends.h"
#include "chardev/fd_chardev.h"

namespace rhea {

namespace {

constexpr int64_t kLookAgainNs = 250'000'000;  ///< while nobody has the terminal open

class PtyChardev final : public FdChardev {
 public:
  PtyChardev(ChardevRequest& request, UniqueFd master, std::string path)
      : FdChardev(request.label, request.loop), path_(std::move(path)) {
    look_timer_ = std::make_unique<Timer>(loop(), realtime_clock(), [this] { look(); });
    start_io(std::move(master), UniqueFd());
    stop_input();
    look();
  }
  std::string_view backend() const override { return "pty"; }
  std::string filename() const override { return "pty:" + path_; }

 private:
  /// The kernel has no event for "somebody opened it", only the hang-up that stands until then.
  bool somebody_there() const {
    pollfd p{.fd = in_fd(), .events = POLLOUT, .revents = 0};
    return poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP) == 0;
  }
  void look() {
    if (is_open()) return;
    if (!somebody_there()) return look_timer_->arm_in(kLookAgainNs);
    look_timer_->cancel();
    start_input();
    set_open(true);
  }
  void input_ended(int) override {
    stop_input();
    drop_backlog();
    set_open(false);
    look_timer_->arm_in(kLookAgainNs);
  }
  void output_failed(int errnum) override {
    FdChardev::output_failed(errnum);
    drop_backlog();
  }
  size_t push(std::span<const uint8_t> data) override {
    if (!is_open()) {
      if (!somebody_there()) return data.size();
      look_timer_->arm_in(0);  // opening it is for the loop's thread
    }
    return FdChardev::push(data);
  }
  const std::string path_;
  std::unique_ptr<Timer> look_timer_;
};

/// No echo, no line discipline: the guest's side does that.
void make_raw(int fd) {
  termios t{};
  if (tcgetattr(fd, &t) < 0) return;
  cfmakeraw(&t);
  tcsetattr(fd, TCSANOW, &t);
}

}  // namespace

ChardevResult create_pty(ChardevRequest& request) {
  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!master || grantpt(master.get()) < 0 || unlockpt(master.get()) < 0)
    return fail_errno(errno, "Failed to create PTY");
  char name[64];
  if (const int error = ptsname_r(master.get(), name, sizeof name); error != 0)
    return fail_errno(error, "Failed to create PTY");
  // Opened and closed once, so that the hang-up stands until somebody comes.
  UniqueFd other(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!other) return fail_errno(errno, "Failed to create PTY");
  make_raw(other.get());
  other.reset();
  std::printf("char device redirected to %s (label %s)\n", name, request.label.c_str());
  std::fflush(stdout);
  return std::make_unique<PtyChardev>(request, std::move(master), name);
}

}  // namespace rhea
