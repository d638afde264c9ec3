// Fuzzes a QMP session with what a client may send. The input is a script: each 0xfe lets a waiting command
// go on, each 0xfd ends the connection and begins another, and the first byte says how large the pieces are
// in which the rest arrives. Whatever comes out must be lines of JSON.
#include <cstdlib>

#include "chardev/chardev.h"
#include "chardev/chardev_set.h"
#include "monitor/qmp_session.h"
#include "qapi/event.h"
#include "qapi/monitor_session.h"
#include "util/co_sync.h"

namespace rhea {
namespace {

/// The client's end, without a descriptor in between.
class FuzzChardev final : public Chardev {
 public:
  FuzzChardev() : Chardev("fuzz") {}
  std::string_view backend() const override { return "fuzz"; }
  void connect(bool there) { set_open(there); }
  /// Sends as much as the session takes; returns how much that was.
  size_t send(std::span<const uint8_t> data) {
    const size_t n = std::min(data.size(), input_room());
    deliver(data.first(n));
    return n;
  }
  std::string out;

 private:
  size_t push(std::span<const uint8_t> data) override {
    out.append(reinterpret_cast<const char*>(data.data()), data.size());
    return data.size();
  }
};

CoQueue gate;

Result<> run_capabilities(QmpContext& ctx, Json arguments, std::string& reply) {
  const Json* enable = arguments.find("enable");
  TRY(ctx.session->negotiate(std::vector<QMPCapability>(enable != nullptr ? 1 : 0)));
  reply += "{}";
  return {};
}

Result<> run_echo(QmpContext&, Json arguments, std::string& reply) {
  if (arguments.find("fail") != nullptr) return fail(EINVAL, arguments.dump());
  arguments.write(reply);
  return {};
}

CoResult<> run_wait(QmpContext&, Json arguments, std::string& reply) {
  co_await gate.co_wait();
  arguments.write(reply);
  co_return {};
}

constexpr QmpCommand kCommands[] = {
    {"e", false, true, run_echo, nullptr},
    {"o", true, true, run_echo, nullptr},
    {"qmp_capabilities", false, true, run_capabilities, nullptr},
    {"w", true, true, nullptr, run_wait},
};

void check_lines(std::string_view out) {
  while (!out.empty()) {
    const size_t end = out.find("\r\n");
    if (end == std::string_view::npos) abort();
    if (!Json::parse(out.substr(0, end))) abort();
    out.remove_prefix(end + 2);
  }
}

void run(std::span<const uint8_t> input) {
  auto loop = std::move(*AioContext::create("fuzz"));
  loop->make_current();
  char nothing = 0;  // stands for what no command here reaches
  ChardevSet chardevs(*loop);
  QmpContext context(reinterpret_cast<BlockGraph&>(nothing), reinterpret_cast<ObjectRoot&>(nothing),
                     reinterpret_cast<VmControl&>(nothing), chardevs);
  FuzzChardev client;
  QmpSession session(*loop, context, kCommands, false);
  if (!session.attach(client)) abort();
  client.connect(true);
  const size_t piece = input[0] == 0 ? 65536 : input[0];
  for (size_t at = 1; at < input.size();) {
    size_t n = 0;
    while (at + n < input.size() && n < piece && input[at + n] < 0xfd) ++n;
    const size_t taken = n == 0 ? 0 : client.send(input.subspan(at, n));
    at += taken;
    if (taken == 0 && n != 0) gate.wake_all();  // it takes nothing until a command ends
    if (n == 0 && input[at] == 0xfe) gate.wake_one();
    if (n == 0 && input[at] == 0xfd) client.connect(false), client.connect(true);
    if (n == 0 && input[at] == 0xff) client.send(input.subspan(at, 1));
    if (n == 0) ++at;
    while (loop->run_once(false)) {
    }
  }
  while (!gate.empty()) {
    gate.wake_all();
    while (loop->run_once(false)) {
    }
  }
  std::ignore = run_to_completion(*loop, session.co_stop());
  check_lines(client.out);
}

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size >= 2) rhea::run({data, size});
  return 0;
}
