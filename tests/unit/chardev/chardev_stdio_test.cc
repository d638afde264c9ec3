// The terminal backend, in a child process of its own at the other end of a pseudo terminal.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/unit/chardev/chardev_fixture.h"

namespace rhea {
namespace {

/// Shows each key it gets as hexadecimal digits; ends at "q".
[[noreturn]] void show_keys(const char* options) {
  auto loop = std::move(*AioContext::create("child"));
  loop->make_current();
  ChardevSet set(*loop);
  auto chardev = set.add(options);
  if (!chardev) _exit(2);
  if (set.add("stdio,id=again")) _exit(3);
  CharFrontend frontend;
  if (!frontend.attach(**chardev)) _exit(4);
  frontend.set_handlers({.can_read = [] { return size_t{1}; },
                         .read =
                             [&](std::span<const uint8_t> d) {
                               if (d[0] == 'q') exit(0);  // as main() does: exit handlers run
                               frontend.write_all(hex(d[0], 2) + ";");
                             }});
  frontend.write_all("ready;");
  loop->run();
  _exit(5);
}

class ChardevStdio : public testing::Test {
 protected:
  void start(const char* options) {
    master.reset(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(master && grantpt(master.get()) == 0 && unlockpt(master.get()) == 0);
    // Kept open, so that the terminal and its modes outlive the child.
    slave.reset(open(ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(slave);
    child = fork();
    if (child != 0) return;
    setsid();
    signal(SIGINT, SIG_DFL);  // one who runs the tests in the background may have it ignored
    for (int fd : {0, 1}) dup2(slave.get(), fd);
    ioctl(0, TIOCSCTTY, 0);
    show_keys(options);
  }
  /// Reads until `text` has come; false after ten seconds.
  bool expect(std::string_view text) {
    std::string got;
    pollfd p{.fd = master.get(), .events = POLLIN, .revents = 0};
    while (got.find(text) == std::string::npos) {
      if (poll(&p, 1, 10'000) != 1) {
        ADD_FAILURE() << "waited in vain for " << text << ", got " << got;
        return false;
      }
      char buf[256];
      const ssize_t n = read(master.get(), buf, sizeof buf);
      if (n <= 0) return false;
      got.append(buf, static_cast<size_t>(n));
    }
    return true;
  }
  void type(std::string_view keys) {
    EXPECT_EQ(write(master.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  bool mode(tcflag_t flag) const {
    termios t{};
    tcgetattr(slave.get(), &t);
    return (t.c_lflag & flag) != 0;
  }
  int wait_child() const {
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }
  UniqueFd master, slave;
  pid_t child = -1;
};

TEST_F(ChardevStdio, TakesKeysAsTheyAreAndPutsTheModesBack) {
  start("stdio,id=s,signal=off");
  ASSERT_TRUE(expect("ready;"));
  EXPECT_FALSE(mode(ECHO));
  EXPECT_FALSE(mode(ICANON));
  EXPECT_FALSE(mode(ISIG));
  type("\x03");
  EXPECT_TRUE(expect("03;"));
  type("\r");
  EXPECT_TRUE(expect("0d;"));
  type("q");
  EXPECT_EQ(wait_child(), 0);
  EXPECT_TRUE(mode(ECHO));
  EXPECT_TRUE(mode(ICANON));
  EXPECT_EQ(fcntl(slave.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ChardevStdio, InterruptKeyWorksIfAskedFor) {
  start("stdio,id=s,signal=on");
  ASSERT_TRUE(expect("ready;"));
  EXPECT_TRUE(mode(ISIG));
  type("\x03");
  const int status = wait_child();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST(ChardevStdioInput, EndsWithoutSpinningOnDevNull) {
  const pid_t child = fork();
  if (child == 0) {
    UniqueFd null(open("/dev/null", O_RDWR));
    for (int fd : {0, 1}) dup2(null.get(), fd);
    auto loop = std::move(*AioContext::create("child"));
    loop->make_current();
    ChardevSet set(*loop);
    auto chardev = set.add("stdio,id=s");
    if (!chardev) _exit(2);
    CharFrontend frontend;
    if (!frontend.attach(**chardev)) _exit(3);
    bool closed = false;
    frontend.set_handlers({.can_read = [] { return size_t{1}; },
                           .event = [&](CharEvent e) { closed = e == CharEvent::kClosed; }});
    for (int i = 0; i < 100 && !closed; ++i) loop->run_once(true);
    frontend.write_all("still may write");
    _exit(closed && !loop->run_once(false) ? 0 : 4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace rhea
