#include "tests/unit/monitor/monitor_fixture.h"

#include <unistd.h>

#include "monitor/hmp.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_char.h"
#include "qapi/qapi_commands_control.h"
#include "qapi/qapi_commands_misc.h"
#include "qapi/qapi_commands_runstate.h"

namespace rhea::test {

Bench& bench() {
  static Bench b;
  return b;
}

namespace {

Result<> run_capabilities(QmpContext& ctx, Json arguments, std::string& reply) {
  auto args = TRY(from_json<QmpCapabilitiesArgs>(std::move(arguments)));
  TRY(qmp_qmp_capabilities(ctx, std::move(args)));
  reply += "{}";
  return {};
}

Result<> run_status(QmpContext& ctx, Json arguments, std::string& reply) {
  if (!arguments.as_object().empty())
    return fail(EINVAL, "Parameter '", arguments.as_object()[0].first, "' is unexpected");
  bench().ran += "status ";
  write_json(reply, TRY(qmp_query_status(ctx)));
  return {};
}

Result<> run_echo(QmpContext&, Json arguments, std::string& reply) {
  arguments.write(reply);
  return {};
}

Result<> run_fail(QmpContext&, Json, std::string&) {
  return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device \"x\" not found");
}

CoResult<> run_slow(QmpContext&, Json arguments, std::string& reply) {
  ++bench().slow_started;
  co_await bench().gate.co_wait();
  bench().ran += "slow ";
  if (arguments.find("fail") != nullptr) co_return fail(EIO, "it failed late");
  reply += "\"slow\"";
  co_return {};
}

CoResult<> run_instant(QmpContext&, Json, std::string& reply) {
  reply += "\"instant\"";
  co_return {};
}

Result<> run_overtake(QmpContext&, Json, std::string& reply) {
  bench().ran += "overtake ";
  reply += "{}";
  return {};
}

Result<> run_announce(QmpContext&, Json arguments, std::string& reply) {
  EventSink* sink = qapi_event_sink();
  sink->emit("STOP", {});
  sink->emit("TEST", std::move(arguments));
  reply += "{}";
  return {};
}

Result<> run_big(QmpContext&, Json arguments, std::string& reply) {
  reply += '"';
  reply.append(static_cast<size_t>(arguments.find("size")->as_int()), 'x');
  reply += '"';
  return {};
}

Result<> run_getfd(QmpContext& ctx, Json arguments, std::string& reply) {
  auto args = TRY(from_json<GetfdArgs>(std::move(arguments)));
  TRY(qmp_getfd(ctx, std::move(args)));
  reply += "{}";
  return {};
}

Result<> run_closefd(QmpContext& ctx, Json arguments, std::string& reply) {
  auto args = TRY(from_json<ClosefdArgs>(std::move(arguments)));
  TRY(qmp_closefd(ctx, std::move(args)));
  reply += "{}";
  return {};
}

Result<> run_yank(QmpContext& ctx, Json arguments, std::string& reply) {
  auto args = TRY(from_json<YankArgs>(std::move(arguments)));
  TRY(qmp_yank(ctx, std::move(args)));
  reply += "{}";
  return {};
}

Result<> run_query_yank(QmpContext& ctx, Json, std::string& reply) {
  write_json(reply, TRY(qmp_query_yank(ctx)));
  return {};
}

constexpr QmpCommand kCommands[] = {
    {"announce", false, true, run_announce, nullptr},
    {"big", false, true, run_big, nullptr},
    {"closefd", false, true, run_closefd, nullptr},
    {"echo", false, true, run_echo, nullptr},
    {"fail", false, true, run_fail, nullptr},
    {"getfd", false, true, run_getfd, nullptr},
    {"instant", false, true, nullptr, run_instant},
    {"overtake", true, true, run_overtake, nullptr},
    {"qmp_capabilities", false, true, run_capabilities, nullptr},
    {"query-status", false, true, run_status, nullptr},
    {"query-yank", true, true, run_query_yank, nullptr},
    {"slow", false, true, nullptr, run_slow},
    {"yank", true, true, run_yank, nullptr},
};

}  // namespace

std::span<const QmpCommand> bench_commands() {
  return kCommands;
}

MonitorTest::MonitorTest() {
  bench().slow_started = 0;
  bench().ran.clear();
  hmp_register_generic(hmp_registry());
  hmp_register_media(hmp_registry());
  loop = std::move(*AioContext::create("test"));
  loop->make_current();
  chardevs = std::make_unique<ChardevSet>(*loop);
  context = std::make_unique<QmpContext>(reinterpret_cast<BlockGraph&>(dummy),
                                         reinterpret_cast<ObjectRoot&>(dummy), vm, *chardevs);
  monitors = std::make_unique<MonitorSet>(*loop, *context, bench_commands());
}

MonitorTest::~MonitorTest() {
  bench().gate.wake_all();
  std::ignore = run_to_completion(*loop, monitors->co_stop());
  monitors.reset();
  chardevs.reset();
}

UniqueFd MonitorTest::make(MonitorMode mode, bool pretty, bool mux) {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const std::string id = "mon" + std::to_string(made++);
  auto chardev = chardevs->add("socket,id=" + id + (mux ? ",mux=on" : "") + ",fd=" + std::to_string(fds[1]));
  EXPECT_TRUE(chardev);
  auto created = monitors->create(id, mode, pretty);
  EXPECT_TRUE(created);
  settle();
  return UniqueFd(fds[0]);
}

UniqueFd MonitorTest::make_qmp(bool pretty) {
  UniqueFd fd = make(MonitorMode::kControl, pretty);
  ask(fd, "{\"execute\": \"qmp_capabilities\"}");
  return fd;
}

void MonitorTest::send(const UniqueFd& fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    settle();
  }
}

void MonitorTest::settle() {
  while (loop->run_once(false)) {
  }
}

std::string MonitorTest::receive(const UniqueFd& fd) {
  std::string out;
  char buf[65536];
  while (true) {
    settle();
    const ssize_t n = recv(fd.get(), buf, sizeof buf, MSG_DONTWAIT);
    if (n <= 0) return out;
    out.append(buf, static_cast<size_t>(n));
  }
}

bool MonitorTest::run_until(const std::function<bool()>& done, const char* what) {
  bool late = false;
  Timer limit(*loop, realtime_clock(), [&] { late = true; });
  limit.arm_in(10'000'000'000);
  while (!done() && !late) loop->run_once(true);
  EXPECT_FALSE(late) << "waited in vain for " << what;
  return !late;
}

}  // namespace rhea::test
