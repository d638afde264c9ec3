// telnet, udp, serial, mux over a named device, replacing a backend, descriptor sets.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>

#include <fstream>
#include <sstream>

#include "chardev/char_options.h"
#include "chardev/telnet.h"
#include "tests/unit/chardev/chardev_fixture.h"
#include "util/fdset.h"

namespace rhea {
namespace {

using test::ChardevTest;
using test::RecordingFrontend;

std::string decode(TelnetFilter& filter, std::string text, bool* breaks = nullptr) {
  const auto out = filter.decode(std::span(reinterpret_cast<uint8_t*>(text.data()), text.size()));
  if (breaks != nullptr) *breaks = out.breaks;
  return text.substr(0, out.bytes);
}

TEST(TelnetFilter, TakesCommandsOut) {
  TelnetFilter filter;
  EXPECT_EQ(decode(filter,
                   "a\xff\xfb\x01"
                   "b"),
            "ab");
  EXPECT_EQ(decode(filter,
                   "a\xff\xff"
                   "b"),
            "a\xff"
            "b");
  EXPECT_EQ(decode(filter,
                   "a\xff\xfa\x18\xff\xff\x01\xff\xf0"
                   "b"),
            "ab");
  bool breaks = false;
  EXPECT_EQ(decode(filter,
                   "a\xff\xf3"
                   "b",
                   &breaks),
            "ab");
  EXPECT_TRUE(breaks);
}

TEST(TelnetFilter, CommandMayBeCutAnywhere) {
  const std::string whole = "x\xff\xfd\x03y\xff\xfa\x01\x02\xff\xf0z\xff\xff";
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    TelnetFilter filter;
    const std::string first = decode(filter, whole.substr(0, cut));
    EXPECT_EQ(first + decode(filter, whole.substr(cut)), "xyz\xff") << cut;
  }
}

TEST_F(ChardevTest, TelnetServerGreetsAndDoublesIac) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  UniqueFd user(fds[0]);
  Chardev& c = make("socket,id=t,telnet=on,server=on,wait=off,path=" + path("t"));
  RecordingFrontend f;
  f.attach(c);
  ASSERT_TRUE(c.add_client(UniqueFd(fds[1])));
  EXPECT_EQ(f.events, "O");
  f.write(
      "a\xff"
      "b");
  char buf[64];
  const ssize_t n = recv(user.get(), buf, sizeof buf, 0);
  EXPECT_EQ(std::string(buf, static_cast<size_t>(n)), std::string(TelnetFilter::kGreeting) +
                                                          "a\xff\xff"
                                                          "b");
  EXPECT_EQ(send(user.get(), "\xff\xf3q", 3, 0), 3);
  run_until([&] { return f.input == "q"; }, "input");
  EXPECT_EQ(f.events, "Ob");
}

TEST_F(ChardevTest, AddClientOnlyWhereNobodyIs) {
  int fds[2], more[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, more), 0);
  UniqueFd one(fds[0]), two(more[0]);
  Chardev& c = make("socket,id=t,server=on,wait=off,path=" + path("t"));
  EXPECT_FALSE(c.add_client(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC))));
  ASSERT_TRUE(c.add_client(UniqueFd(fds[1])));
  EXPECT_EQ(c.add_client(UniqueFd(more[1])).error().message(), "add_client failed");
  EXPECT_EQ(make("null,id=n").add_client(UniqueFd()).error().message(), "add_client failed");
}

struct BoundUdp {
  BoundUdp() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof a;
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), length), 0);
    EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&a), &length), 0);
    port = ntohs(a.sin_port);
  }
  UniqueFd fd;
  uint16_t port;
};

TEST_F(ChardevTest, UdpCarriesDatagrams) {
  BoundUdp peer;
  Chardev& c = make("udp,id=u,host=127.0.0.1,port=" + std::to_string(peer.port));
  EXPECT_EQ(c.filename(), "udp");
  RecordingFrontend f;
  f.room = 3;
  f.attach(c);
  f.write("ping");
  sockaddr_in from{};
  socklen_t length = sizeof from;
  char buf[16];
  ASSERT_EQ(recvfrom(peer.fd.get(), buf, sizeof buf, 0, reinterpret_cast<sockaddr*>(&from), &length), 4);
  ASSERT_EQ(sendto(peer.fd.get(), "response", 8, 0, reinterpret_cast<sockaddr*>(&from), length), 8);
  run_until([&] { return f.input == "response"; }, "the answer in pieces");
}

TEST_F(ChardevTest, UdpToNobodyGoesOn) {
  uint16_t port = 0;
  {
    BoundUdp gone;
    port = gone.port;
  }
  RecordingFrontend f;
  f.attach(make("udp,id=u,host=127.0.0.1,port=" + std::to_string(port)));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f.write("x"), 1u);
    settle();
  }
  EXPECT_EQ(error_of("udp,id=v"), "chardev: udp: remote port not specified");
}

TEST_F(ChardevTest, SerialSetsTheLine) {
  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master && grantpt(master.get()) == 0 && unlockpt(master.get()) == 0);
  char name[64];
  ASSERT_EQ(ptsname_r(master.get(), name, sizeof name), 0);
  RecordingFrontend f;
  f.attach(make("serial,id=s,path=" + std::string(name)));
  f.frontend.set_line({.speed = 9600, .parity = 'N', .data_bits = 8, .stop_bits = 2});
  UniqueFd slave(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios t{};
  ASSERT_EQ(tcgetattr(slave.get(), &t), 0);
  EXPECT_EQ(cfgetospeed(&t), static_cast<speed_t>(B9600));
  EXPECT_NE(t.c_cflag & CSTOPB, 0u);
  EXPECT_EQ(t.c_lflag & ECHO, 0u);
  ASSERT_EQ(write(master.get(), "in", 2), 2);
  run_until([&] { return f.input == "in"; }, "input");
  EXPECT_EQ(error_of("serial,id=t"), "chardev: serial/tty: no device path given");
  EXPECT_EQ(error_of("serial,id=t,path=/nonexistent"),
            "Could not open '/nonexistent': No such file or directory");
}

TEST_F(ChardevTest, MuxOverADeviceThatIsThere) {
  make("null,id=n");
  EXPECT_EQ(error_of("mux,id=m"), "chardev: mux: no chardev given");
  EXPECT_EQ(error_of("mux,id=m,chardev=zz"), "mux: base chardev zz not found");
  make("mux,id=m,chardev=n");
  EXPECT_EQ(set->remove("n").error().message(), "Chardev 'n' is busy");
  EXPECT_EQ(set->create("m2", *CharOptions::parse("mux,chardev=n")).error().message(),
            "Device 'n' is in use");
  ASSERT_TRUE(set->remove("m"));
  ASSERT_TRUE(set->remove("n"));
}

TEST_F(ChardevTest, ChangeMovesTheUserAlong) {
  make("null,id=a");
  CharFrontend f;
  std::string events;
  ASSERT_TRUE(f.attach(*set->find("a")));
  EXPECT_EQ(set->change("zz", *CharOptions::parse("null")).error().message(), "Chardev 'zz' does not exist");
  f.set_handlers({.can_read = [] { return 1; }});
  EXPECT_EQ(set->change("a", *CharOptions::parse("null")).error().message(),
            "Chardev user does not support chardev hotswap");
  f.set_handlers({.can_read = [] { return 1; },
                  .event = [&](CharEvent e) { events += e == CharEvent::kOpened ? 'O' : 'C'; },
                  .may_change_backend = true});
  EXPECT_FALSE(set->change("a", *CharOptions::parse("file,path=/nonexistent/x")));
  EXPECT_EQ(f.chardev(), set->find("a"));
  auto changed = set->change("a", *CharOptions::parse("socket,server=on,wait=off,path=" + path("s")));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(f.chardev(), *changed);
  EXPECT_EQ(set->find("a"), *changed);
  EXPECT_TRUE((*changed)->frontend_open());
  EXPECT_EQ(events, "OC");
  make("null,id=m,mux=on");
  EXPECT_EQ(set->change("m", *CharOptions::parse("null")).error().message(),
            "Mux device hotswap not supported yet");
}

TEST_F(ChardevTest, FilesFromDescriptorSets) {
  ASSERT_TRUE(fd_sets().add(
      UniqueFd(open(path("f").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)), 7, "x"));
  RecordingFrontend f;
  f.attach(make("file,id=f,path=/dev/fdset/7,append=on"));
  f.write("one");
  RecordingFrontend g;
  g.attach(make("null,id=n,logfile=/dev/fdset/7,logappend=on"));
  g.write("two");
  ASSERT_TRUE(fd_sets().remove(7, std::nullopt));
  f.write("three");
  std::stringstream all;
  all << std::ifstream(path("f")).rdbuf();
  EXPECT_EQ(all.str(), "onetwothree");
  EXPECT_EQ(error_of("file,id=g,path=/dev/fdset/7"),
            "Could not open '/dev/fdset/7': No such file or directory");
}

TEST_F(ChardevTest, ShownInTheTree) {
  auto root = std::make_shared<Container>();
  ChardevSet own(*loop, {}, root.get());
  ASSERT_TRUE(own.add("null,id=n,mux=on"));
  ASSERT_TRUE(own.add("socket,id=s,server=on,wait=off,host=127.0.0.1,port=0"));
  EXPECT_STREQ(root->child("n")->type().name, "chardev-mux");
  EXPECT_STREQ(root->child("n-base")->type().name, "chardev-null");
  EXPECT_EQ(*root->child("s")->get_property("connected"), Json(false));
  const Json address = *root->child("s")->get_property("addr");
  EXPECT_NE(address.find("port")->as_string(), "0");
  ASSERT_TRUE(own.remove("s"));
  EXPECT_EQ(root->child("s"), nullptr);
}

}  // namespace
}  // namespace rhea
