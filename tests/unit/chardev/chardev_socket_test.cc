#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "tests/unit/chardev/chardev_fixture.h"

namespace rhea {
namespace {

using test::ChardevTest;
using test::RecordingFrontend;

UniqueFd connect_unix(const std::string& path, bool abstract = false) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  memcpy(a.sun_path + abstract, path.data(), path.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), length) < 0) fd.reset();
  return fd;
}

void send_text(const UniqueFd& fd, std::string_view text) {
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

class ChardevSocket : public ChardevTest {
 protected:
  std::string server() const { return "socket,id=s,server=on,wait=off,path=" + path("s"); }
  RecordingFrontend f;
};

TEST_F(ChardevSocket, SaysWhatIsWrong) {
  EXPECT_EQ(error_of("socket,id=x"), "chardev: socket: no path, host or fd given");
  EXPECT_EQ(error_of("socket,id=x,path=" + path("no")),
            "Failed to connect to '" + path("no") + "': No such file or directory");
  EXPECT_EQ(error_of("socket,id=x,server=on,path=/nonexistent/s"),
            "Failed to bind socket to /nonexistent/s: No such file or directory");
  EXPECT_EQ(error_of("socket,id=x,path=/x,host=h,port=1"),
            "None or one of 'path', 'fd' or 'host' option required.");
  EXPECT_EQ(error_of("socket,id=x,host=h"), "chardev: socket: no port given");
  EXPECT_EQ(error_of("socket,id=x,fd=777"), "File descriptor '777' is not a socket");
  EXPECT_EQ(error_of("socket,id=x,path=/x,wait=on"),
            "'wait' option is incompatible with socket in client connect mode");
  EXPECT_EQ(error_of("socket,id=x,path=/x,server=on,reconnect=1"),
            "'reconnect' option is incompatible with socket in server listen mode");
  EXPECT_EQ(error_of("socket,id=x,tn3270=on,server=on,path=/x"),
            "'tn3270=on' is not supported by the socket chardev");
  EXPECT_EQ(error_of("socket,id=x,websocket=on,server=on,path=/x"),
            "'websocket=on' is not supported by the socket chardev");
  EXPECT_EQ(error_of("socket,id=x,tls-creds=t,server=on,path=/x"), "No TLS credentials with id 't'");
  EXPECT_EQ(error_of("socket,id=x,path=/x,delay=off,nodelay=on"),
            "'delay' and 'nodelay' are mutually exclusive");
  EXPECT_EQ(error_of(server() + ",bogus=1"), "Invalid parameter 'bogus'");
  EXPECT_NE(access(path("s").c_str(), F_OK), 0);
  EXPECT_EQ(error_of("socket,id=x,server=on,wait=off,path=/" + std::string(200, 'x')),
            "UNIX socket path '/" + std::string(200, 'x') + "' is too long");
}

TEST_F(ChardevSocket, ServesClientsInTurn) {
  Chardev& c = make(server());
  f.attach(c);
  EXPECT_EQ(c.filename(), "disconnected:unix:" + path("s") + ",server=on");
  EXPECT_EQ(f.events, "");
  EXPECT_EQ(f.write("to nobody"), 9u);
  for (int i = 0; i < 3; ++i) {
    f.events.clear();
    UniqueFd client = connect_unix(path("s"));
    ASSERT_TRUE(client);
    run_until([&] { return f.events == "O"; }, "the client");
    EXPECT_EQ(c.filename(), "unix:" + path("s") + ",server=on");
    send_text(client, "x");
    run_until([&] { return f.input.size() == static_cast<size_t>(i + 1); }, "input");
    f.write("reply");
    char buf[16];
    EXPECT_EQ(recv(client.get(), buf, sizeof buf, 0), 5);
    client.reset();
    run_until([&] { return f.events == "OC"; }, "the client to go");
  }
  set.reset();
  EXPECT_NE(access(path("s").c_str(), F_OK), 0);
}

TEST_F(ChardevSocket, NextClientWaitsForTheFirst) {
  f.attach(make(server()));
  UniqueFd one = connect_unix(path("s")), two = connect_unix(path("s"));
  send_text(one, "1");
  send_text(two, "2");
  run_until([&] { return f.input == "1"; }, "the first client");
  settle();
  EXPECT_EQ(f.input, "1");
  one.reset();
  run_until([&] { return f.input == "12"; }, "the second client");
  EXPECT_EQ(f.events, "OCO");
}

TEST_F(ChardevSocket, AbstractName) {
  const std::string name = "rhea-test-" + std::to_string(getpid());
  Chardev& c = make("socket,id=s,server=on,wait=off,abstract=on,path=" + name);
  f.attach(c);
  EXPECT_EQ(c.filename(), "disconnected:unix:" + name + ",abstract=on,tight=on,server=on");
  UniqueFd client = connect_unix(name, true);
  ASSERT_TRUE(client);
  run_until([&] { return f.events == "O"; }, "the client");
  EXPECT_EQ(c.filename(), "unix:" + name + ",abstract=on,tight=on,server=on");
}

TEST_F(ChardevSocket, TcpOnAFreePort) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof a;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&a), length), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&a), &length), 0);
  const std::string at = "127.0.0.1:" + std::to_string(ntohs(a.sin_port));
  Chardev& server = make("socket,id=s,server=on,wait=off,fd=" + std::to_string(listener.release()));
  f.attach(server);
  auto made = set->add_legacy("c", "tcp:" + at);
  ASSERT_TRUE(made) << made.error().message();
  Chardev& client = **made;
  RecordingFrontend g;
  g.attach(client);
  g.write("hello");
  run_until([&] { return f.input == "hello"; }, "the greeting");
  EXPECT_TRUE(server.filename().starts_with("tcp:" + at + ",server=on <-> 127.0.0.1:")) << server.filename();
  EXPECT_TRUE(client.filename().ends_with(" <-> " + at)) << client.filename();
}

TEST_F(ChardevSocket, WaitsForAClientAtStart) {
  const std::string where = path("s");
  std::thread client([&] {
    for (int i = 0; i < 10'000; ++i) {
      UniqueFd fd = connect_unix(where);
      if (fd) return send_text(fd, "late");
      usleep(1000);
    }
  });
  testing::internal::CaptureStderr();
  Chardev& c = make("socket,id=s,server=on,path=" + where);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "rhea: info: QEMU waiting for connection on: disconnected:unix:" + where + ",server=on\n");
  EXPECT_TRUE(c.is_open());
  f.attach(c);
  run_until([&] { return f.input == "late"; }, "input");
  client.join();
}

TEST_F(ChardevSocket, ReconnectsUntilThereIsAServer) {
  testing::internal::CaptureStderr();
  Chardev& c = make("socket,id=c,reconnect=1,path=" + path("s"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "rhea: Unable to connect character device c: Failed to connect to '" + path("s") +
                "': No such file or directory\n");
  f.attach(c);
  EXPECT_EQ(c.filename(), "disconnected:unix:" + path("s"));
  RecordingFrontend g;
  g.attach(make(server()));
  run_until([&] { return f.events == "O" && g.events == "O"; }, "the connection");
  g.write("x");
  run_until([&] { return f.input == "x"; }, "input");
}

TEST_F(ChardevSocket, BacklogIsBoundedAndDrains) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  UniqueFd user(fds[0]);
  f.attach(make("socket,id=s,fd=" + std::to_string(fds[1])));
  const std::string block(32 << 10, 'x');
  size_t sent = 0;
  for (size_t n = block.size(); n == block.size(); sent += n) n = f.write(block);
  EXPECT_EQ(f.frontend.backlog_bytes(), Chardev::kBacklogBytes);
  EXPECT_EQ(f.write("y"), 0u);
  size_t received = 0;
  std::string buf(1 << 20, 0);
  while (received < sent) {
    const ssize_t n = recv(user.get(), buf.data(), buf.size(), MSG_DONTWAIT);
    if (n > 0) received += static_cast<size_t>(n);
    loop->run_once(false);
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(f.writable, 1);
  EXPECT_EQ(f.write("y"), 1u);
}

TEST_F(ChardevSocket, WritingToAClientThatLeftIsHarmless) {
  f.attach(make(server()));
  UniqueFd client = connect_unix(path("s"));
  run_until([&] { return f.events == "O"; }, "the client");
  client.reset();
  EXPECT_EQ(f.write("gone"), 4u);
  EXPECT_EQ(f.write("gone"), 4u);
  run_until([&] { return f.events == "OC"; }, "the end of the connection");
  UniqueFd next = connect_unix(path("s"));
  run_until([&] { return f.events == "OCO"; }, "the next client");
}

TEST_F(ChardevSocket, PassesDescriptors) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  UniqueFd user(fds[0]);
  f.attach(make("socket,id=s,fd=" + std::to_string(fds[1])));
  UniqueFd passed(open("/dev/null", O_RDONLY | O_CLOEXEC));
  char text[] = "fd";
  iovec piece{text, 2};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr m{};
  m.msg_iov = &piece;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = passed.get();
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  ASSERT_EQ(sendmsg(user.get(), &m, 0), 2);
  run_until([&] { return f.input == "fd"; }, "the message");
  EXPECT_TRUE(f.frontend.chardev()->can_pass_fds());
  auto got = f.frontend.take_fds();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(fcntl(got[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(f.frontend.take_fds().empty());
}

TEST_F(ChardevSocket, YankCutsTheConnection) {
  Chardev& c = make(server());
  f.attach(c);
  UniqueFd client = connect_unix(path("s"));
  run_until([&] { return f.events == "O"; }, "the client");
  EXPECT_TRUE(c.can_yank());
  c.yank();
  run_until([&] { return f.events == "OC"; }, "the cut");
}

}  // namespace
}  // namespace rhea
