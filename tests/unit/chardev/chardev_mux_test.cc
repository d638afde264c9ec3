#include <sys/socket.h>

#include "tests/unit/chardev/chardev_fixture.h"

namespace rhea {
namespace {

using test::ChardevTest;
using test::RecordingFrontend;

/// A mux over one end of a socket pair; the test is the user at the other end.
class ChardevMux : public ChardevTest {
 protected:
  ChardevMux() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    user.reset(fds[0]);
    Chardev& mux = make("socket,id=m,mux=on,fd=" + std::to_string(fds[1]));
    monitor.attach(mux);
    console.attach(mux);
  }
  void type(std::string_view keys) {
    EXPECT_EQ(write(user.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
    settle();
  }
  std::string shown() {
    char buf[4096];
    const ssize_t n = recv(user.get(), buf, sizeof buf, MSG_DONTWAIT);
    return n > 0 ? std::string(buf, static_cast<size_t>(n)) : "";
  }
  UniqueFd user;
  RecordingFrontend monitor, console;
};

TEST_F(ChardevMux, LastFrontendHasTheKeyboard) {
  EXPECT_EQ(monitor.events, "OIU");
  EXPECT_EQ(console.events, "OI");
  type("ls\r");
  EXPECT_EQ(console.input, "ls\r");
  EXPECT_EQ(monitor.input, "");
}

TEST_F(ChardevMux, EscapeSwitches) {
  type(
      "a\x01"
      "cb");
  EXPECT_EQ(console.input, "a");
  EXPECT_EQ(monitor.input, "b");
  type("\x01");
  type("c");
  type("d\x01\x01");
  EXPECT_EQ(console.input, "ad\x01");
  EXPECT_EQ(console.events, "OIUI");
}

TEST_F(ChardevMux, EscapeWorksWhileTheGuestReadsNothing) {
  console.room = 0;
  type("abc");
  type(
      "\x01"
      "cquit");
  EXPECT_EQ(monitor.input, "quit");
  console.room = 10;
  type(
      "\x01"
      "c");
  console.frontend.accept_input();
  settle();
  EXPECT_EQ(console.input, "abc");
}

TEST_F(ChardevMux, HelpBreakAndQuit) {
  bool quit = false;
  set->settings().on_quit = [&] { quit = true; };
  type(
      "\x01"
      "h");
  EXPECT_NE(shown().find("C-a c    switch between console and monitor\n\r"), std::string::npos);
  type(
      "\x01"
      "b");
  EXPECT_EQ(console.events, "OIb");
  type(
      "\x01"
      "x");
  EXPECT_TRUE(quit);
  EXPECT_EQ(shown(), "QEMU: Terminated\n\r");
}

TEST_F(ChardevMux, AllMayWrite) {
  console.write("one ");
  monitor.write("two");
  EXPECT_EQ(shown(), "one two");
}

TEST_F(ChardevMux, KeyboardGoesOnWhenAFrontendLeaves) {
  console.frontend.detach();
  type("x");
  EXPECT_EQ(monitor.input, "x");
}

}  // namespace
}  // namespace rhea
