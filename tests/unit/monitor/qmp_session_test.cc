#include "monitor/qmp_session.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "monitor/version.h"
#include "tests/unit/monitor/monitor_fixture.h"

namespace rhea {
namespace {

using test::bench;
using test::MonitorTest;

const std::string kGreeting =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"" +
    package_version() + "\"}, \"capabilities\": [\"oob\"]}}\r\n";
const std::string kStatus =
    "{\"return\": {\"running\": false, \"singlestep\": false, \"status\": \"prelaunch\"}}\r\n";

std::string generic(std::string_view desc) {
  return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + std::string(desc) + "\"}}\r\n";
}

class QmpSessionTest : public MonitorTest {};

TEST_F(QmpSessionTest, GreetsAndNegotiates) {
  UniqueFd c = make(MonitorMode::kControl);
  EXPECT_EQ(receive(c), kGreeting);
  EXPECT_EQ(ask(c, "{\"execute\": \"query-status\", \"id\": 7}"),
            "{\"id\": 7, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting capabilities "
            "negotiation with 'qmp_capabilities'\"}}\r\n");
  EXPECT_EQ(
      ask(c, "{\"execute\": \"nonsense\"}"),
      "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting capabilities negotiation with "
      "'qmp_capabilities'\"}}\r\n");
  EXPECT_EQ(ask(c, "{}"), generic("QMP input lacks member 'execute'"));
  EXPECT_EQ(ask(c, "{\"execute\": \"qmp_capabilities\"}"), "{\"return\": {}}\r\n");
  EXPECT_EQ(ask(c, "{\"execute\": \"qmp_capabilities\"}"),
            "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities negotiation is already "
            "complete, command ignored\"}}\r\n");
  EXPECT_EQ(ask(c, "{\"execute\": \"query-status\"}"), kStatus);
}

struct Exchange {
  const char* in;
  const char* out;
};
class QmpExchange : public MonitorTest, public testing::WithParamInterface<Exchange> {};
TEST_P(QmpExchange, Answers) {
  UniqueFd c = make_qmp();
  EXPECT_EQ(ask(c, GetParam().in), GetParam().out);
  // Whatever it was, the connection survives.
  EXPECT_EQ(ask(c, "\n{\"execute\": \"query-status\"}"), kStatus);
}
#define GENERIC(text) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" text "\"}}\r\n"
INSTANTIATE_TEST_SUITE_P(
    Protocol, QmpExchange,
    testing::Values(
        Exchange{"[]", GENERIC("QMP input must be a JSON object")},
        Exchange{"5 ", GENERIC("QMP input must be a JSON object")},
        Exchange{"\"x\"", GENERIC("QMP input must be a JSON object")},
        Exchange{"{}", GENERIC("QMP input lacks member 'execute'")},
        Exchange{"{\"id\": 1}",
                 "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input lacks member "
                 "'execute'\"}}\r\n"},
        Exchange{"{\"execute\": 5}", GENERIC("QMP input member 'execute' must be a string")},
        Exchange{"{\"execute\": \"echo\", \"foo\": 1}", GENERIC("QMP input member 'foo' is unexpected")},
        Exchange{"{\"execute\": \"echo\", \"arguments\": 5}",
                 GENERIC("QMP input member 'arguments' must be an object")},
        Exchange{"{\"execute\": \"echo\", \"arguments\": null}",
                 GENERIC("QMP input member 'arguments' must be an object")},
        Exchange{"{\"exec-oob\": \"overtake\"}", GENERIC("QMP input member 'exec-oob' is unexpected")},
        Exchange{
            "{\"execute\": \"foo\", \"id\": 3}",
            "{\"id\": 3, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command foo has not "
            "been found\"}}\r\n"},
        Exchange{"{\"execute\": \"query-status\", \"arguments\": {\"a\": 1}}",
                 GENERIC("Parameter 'a' is unexpected")},
        Exchange{
            "{\"execute\": \"fail\"}",
            "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device \\\"x\\\" not found\"}}\r\n"},
        Exchange{"{\"execute\": \"echo\", \"arguments\": {}}", "{\"return\": {}}\r\n"},
        Exchange{"{\"execute\":\"echo\",\"arguments\":{\"a\":[1,\"\\u00e4\"]}}",
                 "{\"return\": {\"a\": [1, \"\\u00E4\"]}}\r\n"},
        Exchange{"{'execute': 'echo'}", "{\"return\": {}}\r\n"},
        Exchange{"{\"execute\": \"instant\", \"id\": 0}", "{\"return\": \"instant\", \"id\": 0}\r\n"},
        Exchange{"{\"execute\": \"echo\", \"id\": \"libvirt-12\"}",
                 "{\"return\": {}, \"id\": \"libvirt-12\"}\r\n"},
        Exchange{"{\"id\": -5, \"execute\": \"echo\"}", "{\"return\": {}, \"id\": -5}\r\n"},
        Exchange{"{\"id\": null, \"execute\": \"echo\"}", "{\"return\": {}, \"id\": null}\r\n"},
        Exchange{"{\"id\": 007 ", GENERIC("JSON parse error, stray '00'")},
        Exchange{"{\"id\": [1, {\"a\": 2.5}], \"execute\": \"echo\"}",
                 "{\"return\": {}, \"id\": [1, {\"a\": 2.5}]}\r\n"},
        Exchange{"{\"a\": 1, \"a\": 2}", GENERIC("JSON parse error, duplicate key")},
        Exchange{"{\"execute\": \"echo\", \"execute\": \"echo\"}",
                 GENERIC("JSON parse error, duplicate key")},
        Exchange{"{1: 2}", GENERIC("JSON parse error, key is not a string in object")},
        Exchange{"{\"a\" 1}", GENERIC("JSON parse error, missing : in object pair")},
        Exchange{"{\"a\": 1 \"b\": 2}", GENERIC("JSON parse error, expected separator in dict")},
        Exchange{"[1 2]", GENERIC("JSON parse error, expected separator in list")},
        Exchange{"{\"a\": nul}", GENERIC("JSON parse error, invalid keyword 'nul'")},
        Exchange{"{\"execute\": \"echo\",}", GENERIC("JSON parse error, expecting value")},
        Exchange{"{\"execute\": }", GENERIC("JSON parse error, expecting value")},
        Exchange{"{\"a\": \"\\x\"}", GENERIC("JSON parse error, invalid escape sequence in string")}));

TEST_F(QmpSessionTest, CommandsWaitWhileTheMachineIsPutTogether) {
  monitors->hold();
  UniqueFd c = make(MonitorMode::kControl), person = make(MonitorMode::kReadline);
  EXPECT_THAT(receive(c), testing::StartsWith("{\"QMP\""));  // a manager sees that somebody is there
  receive(person);
  EXPECT_EQ(ask(c, "{\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-status\"}"), "");
  EXPECT_EQ(ask(person, "system_reset\n"), "");
  EXPECT_EQ(bench().ran, "");
  EXPECT_EQ(vm.log, "");
  monitors->release();
  EXPECT_EQ(receive(c), "{\"return\": {}}\r\n" + kStatus);
  receive(person);
  EXPECT_EQ(vm.log, "reset ");
}

TEST_F(QmpSessionTest, KnowsExecuteOnlyOnce) {
  UniqueFd c = make(MonitorMode::kControl);
  ask(c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
  EXPECT_EQ(ask(c, "{\"execute\": \"echo\", \"exec-oob\": \"x\"}"),
            generic("QMP input member 'exec-oob' clashes with 'execute'"));
  EXPECT_EQ(ask(c, "{\"exec-oob\": \"echo\"}"), generic("The command echo does not support OOB"));
}

// A manager's message without its last brace (S0.18): the message after it is answered.
TEST_F(QmpSessionTest, CutMessageDoesNotSwallowTheNext) {
  UniqueFd c = make_qmp();
  EXPECT_EQ(
      ask(c, "{\"execute\":\"echo\",\"arguments\":{\"driver\":\"rbd\",\"cache\":{\"direct\":true}}\r\n"), "");
  EXPECT_EQ(ask(c, "{\"execute\":\"query-status\"}\r\n"),
            generic("JSON parse error, expected separator in dict") + kStatus);
  EXPECT_EQ(
      ask(c, "{\"execute\":\"que\r\n{\"execute\":\"query-status\"}\r\n").find(kStatus) != std::string::npos,
      true);
}

TEST_F(QmpSessionTest, AnswersWhateverThePieces) {
  const std::string in =
      "{\"execute\": \"query-status\", \"id\": 1}\r\n{\"execute\":\"echo\",\"arguments\":{\"a\":\"}{\\\"\"}}"
      "{\"execute\":\"instant\"} [] {\"a\": nul} {\"execute\":\"foo\"}\n";
  UniqueFd whole = make_qmp();
  const std::string expected = ask(whole, in);
  for (size_t cut = 1; cut < in.size(); ++cut) {
    UniqueFd c = make_qmp();
    std::string got = ask(c, in.substr(0, cut));
    got += ask(c, in.substr(cut));
    ASSERT_EQ(got, expected) << "cut at " << cut;
  }
  UniqueFd c = make_qmp();
  std::string got;
  for (char byte : in) got += ask(c, {&byte, 1});
  EXPECT_EQ(got, expected);
}

TEST_F(QmpSessionTest, PipelinedAnswersComeInOrder) {
  UniqueFd c = make_qmp();
  std::string in, expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string id = std::to_string(i);
    in += "{\"execute\": \"" + std::string(i % 3 == 0 ? "instant" : "echo") + "\", \"id\": " + id + "}";
    expected +=
        std::string("{\"return\": ") + (i % 3 == 0 ? "\"instant\"" : "{}") + ", \"id\": " + id + "}\r\n";
  }
  std::string got;
  for (size_t at = 0; at < in.size(); at += 10'000) got += ask(c, std::string_view(in).substr(at, 10'000));
  EXPECT_EQ(got, expected);
}

TEST_F(QmpSessionTest, SlowCommandHoldsUpOnlyItsSession) {
  UniqueFd one = make_qmp(), two = make_qmp();
  EXPECT_EQ(ask(one, "{\"execute\": \"slow\", \"id\": 1}{\"execute\": \"query-status\", \"id\": 2}"), "");
  EXPECT_EQ(bench().slow_started, 1);
  EXPECT_EQ(ask(two, "{\"execute\": \"query-status\"}"), kStatus);
  bench().gate.wake_one();
  EXPECT_EQ(receive(one),
            "{\"return\": \"slow\", \"id\": 1}\r\n{\"return\": {\"running\": false, \"singlestep\": false, "
            "\"status\": \"prelaunch\"}, \"id\": 2}\r\n");
}

TEST_F(QmpSessionTest, SlowFailureHasItsId) {
  UniqueFd c = make_qmp();
  ask(c, "{\"execute\": \"slow\", \"arguments\": {\"fail\": 1}, \"id\": \"x\"}");
  bench().gate.wake_one();
  EXPECT_EQ(receive(c),
            "{\"id\": \"x\", \"error\": {\"class\": \"GenericError\", \"desc\": \"it failed late\"}}\r\n");
}

TEST_F(QmpSessionTest, OutOfBandOvertakes) {
  UniqueFd c = make(MonitorMode::kControl);
  ask(c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
  ask(c, "{\"execute\": \"slow\", \"id\": 1}{\"execute\": \"query-status\", \"id\": 2}[]");
  EXPECT_EQ(ask(c, "{\"exec-oob\": \"overtake\", \"id\": 3}"), "{\"return\": {}, \"id\": 3}\r\n");
  EXPECT_EQ(bench().ran, "overtake ");
  bench().gate.wake_one();
  const std::string rest = receive(c);
  EXPECT_EQ(bench().ran, "overtake slow status ");
  EXPECT_TRUE(rest.starts_with("{\"return\": \"slow\", \"id\": 1}\r\n{\"return\": {\"running\"")) << rest;
  EXPECT_TRUE(rest.ends_with(generic("QMP input must be a JSON object"))) << rest;
}

TEST_F(QmpSessionTest, EightMayWait) {
  UniqueFd c = make(MonitorMode::kControl);
  ask(c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
  ask(c, "{\"execute\": \"slow\"}");
  for (size_t i = 0; i < QmpSession::kMaxQueued - 1; ++i) ask(c, "{\"execute\": \"echo\"}");
  EXPECT_EQ(ask(c, "{\"exec-oob\": \"overtake\"}"), "{\"return\": {}}\r\n");
  ask(c, "{\"execute\": \"echo\"}");
  EXPECT_EQ(ask(c, "{\"exec-oob\": \"overtake\"}"), "");
  bench().gate.wake_one();
  const std::string rest = receive(c);
  EXPECT_EQ(std::count(rest.begin(), rest.end(), '\n'), 10);
}

TEST_F(QmpSessionTest, OutOfBandIsOfferedOnlyWhereItWorks) {
  UniqueFd c = make(MonitorMode::kControl, false, true);
  EXPECT_THAT(receive(c), testing::HasSubstr("\"capabilities\": []"));
  EXPECT_EQ(ask(c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}"),
            generic("Capability oob not available"));
}

TEST_F(QmpSessionTest, PrettyAnswers) {
  UniqueFd c = make_qmp(true);
  EXPECT_EQ(
      ask(c, "{\"execute\": \"echo\", \"arguments\": {\"a\": [1]}, \"id\": 1}"),
      "{\r\n    \"return\": {\r\n        \"a\": [\r\n            1\r\n        ]\r\n    },\r\n    \"id\": "
      "1\r\n}\r\n");
}

TEST_F(QmpSessionTest, HugeAnswersReachASlowReader) {
  UniqueFd c = make_qmp();
  std::string in;
  for (int i = 0; i < 20; ++i) in += "{\"execute\": \"big\", \"arguments\": {\"size\": 300000}}";
  const std::string got = ask(c, in + "{\"execute\": \"query-status\"}");
  EXPECT_EQ(got.size(), 20 * (300000 + sizeof("{\"return\": \"\"}\r\n") - 1) + kStatus.size());
  EXPECT_TRUE(got.ends_with(kStatus));
}

TEST_F(QmpSessionTest, MessagesAreLimitedTo64MiB) {
  UniqueFd c = make_qmp();
  const std::string megabyte(1 << 20, 'x');
  send(c, "{\"execute\": \"");
  for (int i = 0; i < 64; ++i) send(c, megabyte);
  EXPECT_EQ(receive(c), generic("JSON token size limit exceeded"));
  send(c, "\"\n");
  receive(c);
  EXPECT_EQ(ask(c, "{\"execute\": \"query-status\"}"), kStatus);
}

TEST_F(QmpSessionTest, NestingIsLimited) {
  UniqueFd c = make_qmp();
  const std::string got = ask(c, std::string(1025, '['));
  EXPECT_EQ(got, generic("JSON nesting depth limit exceeded"));
}

void send_with_fd(const UniqueFd& to, std::string text, int fd) {
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr m{};
  m.msg_iov = &piece;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  ASSERT_EQ(sendmsg(to.get(), &m, 0), static_cast<ssize_t>(text.size()));
}

TEST_F(QmpSessionTest, KeepsDescriptors) {
  UniqueFd c = make_qmp();
  const std::string getfd = "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"a\"}}";
  const std::string closefd = "{\"execute\": \"closefd\", \"arguments\": {\"fdname\": \"a\"}}";
  EXPECT_EQ(ask(c, getfd), generic("No file descriptor supplied via SCM_RIGHTS"));
  EXPECT_EQ(ask(c, closefd), generic("File descriptor named 'a' not found"));
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  UniqueFd reader(pipe_fds[0]), writer(pipe_fds[1]);
  send_with_fd(c, "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"7\"}}", writer.get());
  EXPECT_EQ(receive(c), generic("Parameter 'fdname' expects a name not starting with a digit"));
  send_with_fd(c, getfd, writer.get());
  EXPECT_EQ(receive(c), "{\"return\": {}}\r\n");
  writer.reset();
  char byte;
  fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  EXPECT_EQ(read(reader.get(), &byte, 1), -1);  // the monitor still has the writing end
  EXPECT_EQ(ask(c, closefd), "{\"return\": {}}\r\n");
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
}

TEST_F(QmpSessionTest, YankCutsAnotherConnectionOutOfBand) {
  UniqueFd stuck = make_qmp(), c = make(MonitorMode::kControl);
  ask(c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
  const std::string yank =
      "{\"exec-oob\": \"yank\", \"arguments\": {\"instances\": [{\"type\": \"chardev\", ";
  EXPECT_EQ(ask(c, "{\"exec-oob\": \"query-yank\"}"),
            "{\"return\": [{\"type\": \"chardev\", \"id\": \"mon0\"}, {\"type\": \"chardev\", \"id\": "
            "\"mon1\"}]}\r\n");
  EXPECT_EQ(ask(c, yank + "\"id\": \"nope\"}]}}"),
            "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Instance not found\"}}\r\n");
  ask(c, "{\"execute\": \"slow\"}");
  EXPECT_EQ(ask(c, yank + "\"id\": \"mon0\"}]}}"), "{\"return\": {}}\r\n");
  char byte;
  receive(stuck);
  EXPECT_EQ(recv(stuck.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_F(QmpSessionTest, NextClientStartsAfresh) {
  char dir[] = "/tmp/rhea-qmp-XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/s";
  ASSERT_TRUE(monitors->create_legacy("unix:" + path + ",server=on,wait=off", MonitorMode::kControl));
  ASSERT_NE(chardevs->find("compat_monitor0"), nullptr);
  auto client = [&](const char* id) {
    return *chardevs->add("socket,id=" + std::string(id) + ",path=" + path);
  };
  std::string got;
  const CharHandlers record{.can_read = [] { return size_t{65536}; },
                            .read = [&](std::span<const uint8_t> d) { got.append(d.begin(), d.end()); }};
  for (const char* id : {"a", "b"}) {
    got.clear();
    CharFrontend f;
    ASSERT_TRUE(f.attach(*client(id)));
    f.set_handlers(record);
    run_until([&] { return got == kGreeting; }, "the greeting");
    f.write_all("{\"execute\": \"query-status\"}");
    run_until([&] { return got.ends_with("'qmp_capabilities'\"}}\r\n"); }, "the refusal");
    got.clear();
    f.write_all("{\"execute\": \"qmp_capabilities\"}{\"execute\": \"slow\"}");
    run_until([&] { return bench().slow_started > 0; }, "the slow command");
    bench().slow_started = 0;
    f.detach();
    ASSERT_TRUE(chardevs->remove(id));  // goes while its command runs
  }
  bench().gate.wake_all();
  settle();
  rmdir(dir);
}

}  // namespace
}  // namespace rhea
