#include "monitor/hmp_session.h"

#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "monitor/version.h"
#include "util/str.h"

namespace rhea {

namespace {
constexpr size_t kKeysAtOnce = 4096;
constexpr size_t kMaxHeld = 64 << 10;
}  // namespace

HmpSession::HmpSession(AioContext& loop, const QmpContext& context)
    : loop_(loop),
      context_(context),
      editor_(
          "(qemu) ", [this](std::string_view text) { output(text); }, hmp_completions) {
  context_.session = this;
}

Result<> HmpSession::attach(Chardev& chardev) {
  shown_ = focused_ = !chardev.is_mux();
  TRY(frontend_.attach(chardev));
  frontend_.set_handlers({.can_read = [this] { return input_held_ || busy_ ? 0 : kKeysAtOnce; },
                          .read = [this](std::span<const uint8_t> data) { read(data); },
                          .event = [this](CharEvent e) { event(e); },
                          .writable = {}});
  return {};
}

bool HmpSession::on_mux() const {
  return frontend_.chardev() != nullptr && frontend_.chardev()->is_mux();
}

void HmpSession::event(CharEvent e) {
  switch (e) {
    case CharEvent::kOpened:
      return opened();
    case CharEvent::kClosed:
      ++client_;
      busy_ = false;
      input_.clear();
      held_.clear();
      return editor_.reset();
    case CharEvent::kMuxIn:
      focused_ = true;
      // During start-up the keyboard moves from one front end to the next: only the last one prints.
      return loop_.post([this, alive = alive_] {
        if (*alive && focused_ && !shown_) show();
      });
    case CharEvent::kMuxOut:
      focused_ = false;
      if (shown_) output("\r\n");
      shown_ = false;
      return;
    case CharEvent::kBreak:
      return;
  }
}

void HmpSession::opened() {
  ++client_;
  busy_ = false;
  input_.clear();
  output(str_cat("QEMU ", kQemuMajor, ".", kQemuMinor, ".", kQemuMicro,
                 " monitor - type 'help' for more information\r\n"));
  if (shown_) editor_.show_prompt();
}

void HmpSession::show() {
  shown_ = true;
  output(std::exchange(held_, {}));
  if (!busy_) editor_.show_prompt();
}

void HmpSession::output(std::string_view text) {
  if (shown_) return frontend_.write_all(text);
  if (held_.size() + text.size() <= kMaxHeld) held_ += text;
}

void HmpSession::read(std::span<const uint8_t> data) {
  input_.append(reinterpret_cast<const char*>(data.data()), data.size());
  process();
}

void HmpSession::process() {
  if (processing_) return;
  processing_ = true;
  size_t used = 0;
  const uint64_t client = client_;
  while (!busy_ && client == client_ && used < input_.size()) {
    auto line = editor_.key(static_cast<uint8_t>(input_[used++]));
    if (line) execute(std::move(*line));
  }
  input_.erase(0, client == client_ ? used : input_.size());
  processing_ = false;
  if (!busy_) frontend_.accept_input();
}

void HmpSession::execute(std::string line) {
  busy_ = true;
  auto call = std::make_shared<HmpCall>(context_);
  call->cpu_index = cpu_;
  call->history = &editor_.lines();
  CoResult<> work = hmp_execute(*call, std::move(line));
  gate_.spawn<void>(std::move(work), [this, call, client = client_](Result<>) {
    if (loop_.in_loop_thread()) return finished(client, *call);
    loop_.post([this, alive = alive_, call, client] {
      if (*alive) finished(client, *call);
    });
  });
}

void HmpSession::finished(uint64_t client, const HmpCall& call) {
  if (client != client_) return;
  busy_ = false;
  cpu_ = call.cpu_index;
  output(hmp_wire_text(call.out));
  if (shown_) editor_.show_prompt();
  process();
}

Result<> HmpSession::negotiate(const std::vector<QMPCapability>&) {
  return fail(EINVAL, "a human monitor has nothing to negotiate");
}

UniqueFd HmpSession::received_fd() {
  auto fds = frontend_.take_fds();
  return fds.empty() ? UniqueFd() : std::move(fds.front());
}

}  // namespace rhea
