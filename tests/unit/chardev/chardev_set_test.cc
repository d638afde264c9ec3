#include "chardev/chardev_set.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>

#include "chardev/ringbuf.h"
#include "tests/unit/chardev/chardev_fixture.h"

namespace rhea {
namespace {

using test::ChardevTest;
using test::RecordingFrontend;

std::string contents(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST_F(ChardevTest, SaysWhatIsWrong) {
  EXPECT_EQ(error_of("foo,id=x"), "'foo' is not a valid char driver name");
  EXPECT_EQ(error_of("null"), "chardev: no id specified");
  EXPECT_EQ(error_of("null,id=9x"), "Parameter 'id' expects an identifier");
  EXPECT_EQ(error_of("null,id=a,path=x"), "Invalid parameter 'path'");
  EXPECT_EQ(error_of("id=a"), "chardev: \"a\" missing backend");
  EXPECT_EQ(error_of("file,id=x"), "chardev: file: no filename given");
  EXPECT_EQ(error_of("file,id=x,path=/nonexistent/f"),
            "Could not open '/nonexistent/f': No such file or directory");
  EXPECT_EQ(error_of("ringbuf,id=x,size=3"), "size of ringbuf chardev must be power of two");
  EXPECT_TRUE(error_of("vc,id=x").starts_with("chardev backend 'vc' is not supported"));
  make("null,id=a");
  EXPECT_EQ(error_of("null,id=a"), "Duplicate ID 'a' for chardev");
  EXPECT_EQ(set->get("b").error().message(), "Chardev 'b' not found");
}

TEST_F(ChardevTest, HasOneUserOnly) {
  Chardev& c = make("null,id=a");
  RecordingFrontend one;
  one.attach(c);
  CharFrontend two;
  EXPECT_EQ(two.attach(c).error().message(), "Device 'a' is in use");
  EXPECT_EQ(set->remove("a").error().message(), "Chardev 'a' is busy");
  one.frontend.detach();
  EXPECT_TRUE(two.attach(c));
  two.detach();
  EXPECT_TRUE(set->remove("a"));
  EXPECT_EQ(set->find("a"), nullptr);
}

TEST_F(ChardevTest, FrontendWithoutBackendSwallows) {
  RecordingFrontend f;
  EXPECT_EQ(f.write("hello"), 5u);
  EXPECT_FALSE(f.frontend.connected());
}

TEST_F(ChardevTest, FrontendOutlivesBackend) {
  RecordingFrontend f;
  f.attach(make("null,id=a"));
  set.reset();
  EXPECT_EQ(f.frontend.chardev(), nullptr);
  EXPECT_EQ(f.write("hello"), 5u);
}

TEST_F(ChardevTest, FileKeepsOutputAndLog) {
  RecordingFrontend f;
  f.attach(make("file,id=a,path=" + path("out") + ",logfile=" + path("log")));
  EXPECT_EQ(f.events, "O");
  f.write("one\n");
  f.write("two\n");
  EXPECT_EQ(contents(path("out")), "one\ntwo\n");
  EXPECT_EQ(contents(path("log")), "one\ntwo\n");
}

TEST_F(ChardevTest, FileAppends) {
  std::ofstream(path("out")) << "old\n";
  RecordingFrontend f;
  f.attach(make("file,id=a,append=on,path=" + path("out")));
  f.write("new\n");
  EXPECT_EQ(contents(path("out")), "old\nnew\n");
}

TEST_F(ChardevTest, FileFeedsInput) {
  std::ofstream(path("in")) << "abcdefghij";
  RecordingFrontend f;
  f.room = 4;
  f.attach(make("file,id=a,path=" + path("out") + ",input-path=" + path("in")));
  run_until([&] { return f.events == "OC"; }, "the end of the input");
  EXPECT_EQ(f.input, "abcdefghij");
}

TEST_F(ChardevTest, InputWaitsForRoom) {
  std::ofstream(path("in")) << "abcdefghij";
  RecordingFrontend f;
  f.room = 0;
  f.attach(make("file,id=a,path=" + path("out") + ",input-path=" + path("in")));
  settle();
  EXPECT_EQ(f.input, "");
  f.room = 100;
  f.frontend.accept_input();
  run_until([&] { return f.input == "abcdefghij"; }, "the input");
}

TEST_F(ChardevTest, PipeGoesBothWays) {
  ASSERT_EQ(mkfifo(path("p.in").c_str(), 0600), 0);
  ASSERT_EQ(mkfifo(path("p.out").c_str(), 0600), 0);
  RecordingFrontend f;
  f.attach(make("pipe,id=a,path=" + path("p")));
  UniqueFd to(open(path("p.in").c_str(), O_WRONLY)), from(open(path("p.out").c_str(), O_RDONLY));
  ASSERT_EQ(write(to.get(), "in", 2), 2);
  run_until([&] { return f.input == "in"; }, "input through the pipe");
  f.write("out");
  char buf[8];
  EXPECT_EQ(read(from.get(), buf, sizeof buf), 3);
}

TEST_F(ChardevTest, RingbufKeepsTheNewest) {
  RecordingFrontend f;
  auto& ring = dynamic_cast<RingbufChardev&>(make("ringbuf,id=r,size=8"));
  f.attach(ring);
  f.write("0123456789");
  EXPECT_EQ(ring.read(3), "234");
  EXPECT_EQ(ring.read(100), "56789");
  EXPECT_EQ(ring.read(1), "");
}

TEST_F(ChardevTest, PtySpeaksWhileOpen) {
  testing::internal::CaptureStdout();
  RecordingFrontend f;
  Chardev& c = make("pty,id=p");
  const std::string said = testing::internal::GetCapturedStdout();
  const std::string name = c.filename().substr(4);
  EXPECT_EQ(said, "char device redirected to " + name + " (label p)\n");
  f.attach(c);
  EXPECT_EQ(f.write("lost"), 4u);
  {
    UniqueFd user(open(name.c_str(), O_RDWR | O_NOCTTY));
    ASSERT_TRUE(user);
    run_until([&] { return f.events == "O"; }, "the terminal's user");
    ASSERT_EQ(write(user.get(), "hi", 2), 2);
    run_until([&] { return f.input == "hi"; }, "input");
    f.write("back");
    char buf[16];
    EXPECT_EQ(read(user.get(), buf, sizeof buf), 4);
  }
  run_until([&] { return f.events == "OC"; }, "the terminal's closing");
  UniqueFd again(open(name.c_str(), O_RDWR | O_NOCTTY));
  run_until([&] { return f.events == "OCO"; }, "the next user");
}

TEST_F(ChardevTest, SnapshotListsMuxAndBase) {
  make("null,id=m,mux=on");
  RecordingFrontend f;
  f.attach(*set->find("m"));
  auto all = set->snapshot();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].label + all[0].filename, "m-basenull");
  EXPECT_EQ(all[1].label + all[1].filename, "mmux");
  EXPECT_TRUE(all[0].frontend_open && all[1].frontend_open);
}

TEST_F(ChardevTest, LegacyFormsFindAndSkip) {
  EXPECT_EQ(*set->add_legacy("serial0", "none"), nullptr);
  Chardev& c = make("null,id=a");
  EXPECT_EQ(*set->add_legacy("serial0", "chardev:a"), &c);
  EXPECT_EQ(set->add_legacy("serial0", "chardev:b").error().message(), "Chardev 'b' not found");
  auto mon = set->add_legacy("serial0", "mon:null");
  ASSERT_TRUE(mon);
  EXPECT_TRUE((*mon)->is_mux());
}

TEST_F(ChardevTest, StdioIsRefusedWhenDaemonized) {
  set->settings().daemonize = true;
  EXPECT_EQ(error_of("stdio,id=s"), "cannot use stdio with -daemonize");
}

}  // namespace
}  // namespace rhea
