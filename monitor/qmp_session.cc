#include "monitor/qmp_session.h"

#include <algorithm>

#include "chardev/chardev.h"
#include "monitor/version.h"
#include "qapi/vm_control.h"
#include "util/str.h"

namespace rhea {

namespace {
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kKeepCapacity = 64 << 10;  ///< of the output buffer, from pass to pass
constexpr std::string_view kNegotiation = "qmp_capabilities";
}  // namespace

QmpSession::QmpSession(AioContext& loop, const QmpContext& context, std::span<const QmpCommand> commands,
                       bool pretty)
    : loop_(loop), context_(context), commands_(commands), pretty_(pretty) {
  context_.session = this;
}

QmpSession::~QmpSession() {
  flush();
  *alive_ = false;
}

Result<> QmpSession::attach(Chardev& chardev) {
  TRY(frontend_.attach(chardev));
  frontend_.set_handlers({.can_read =
                              [this] {
                                // What is behind the commands already here stays where it is, the end of
                                // a pipe above all: they are executed first.
                                const bool enough = blocked() && splitter_.buffered_bytes() != 0;
                                return input_held_ || enough ? 0 : kReadBytes;
                              },
                          .read = [this](std::span<const uint8_t> data) { read(data); },
                          .event =
                              [this](CharEvent event) {
                                if (event == CharEvent::kOpened) opened();
                                if (event == CharEvent::kClosed) closed();
                              },
                          .writable = [this] { process(); }});
  return {};
}

bool QmpSession::offers_oob() const {
  // A terminal shared with others has no place for answers out of turn.
  if (frontend_.chardev() == nullptr || frontend_.chardev()->is_mux()) return false;
  return std::ranges::any_of(commands_, &QmpCommand::allow_oob);
}

void QmpSession::opened() {
  closed();
  connected_ = true;
  const size_t from = out_.size();
  str_append(out_, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": ", kQemuMicro, ", \"minor\": ", kQemuMinor,
             ", \"major\": ", kQemuMajor, "}, \"package\": \"", package_version(), "\"}, \"capabilities\": [",
             offers_oob() ? "\"oob\"" : "", "]}}\r\n");
  add_line(from);
  flush();
}

void QmpSession::closed() {
  ++client_;
  connected_ = negotiated_ = busy_ = false;
  capabilities_ = 0;
  in_flight_ = 0;
  splitter_ = {};
  queue_.clear();
  out_.clear();
  held_events_.clear();
}

void QmpSession::read(std::span<const uint8_t> data) {
  splitter_.feed({reinterpret_cast<const char*>(data.data()), data.size()});
  process();
}

/// No more commands may be taken now.
bool QmpSession::blocked() const {
  if (busy_ && (!has(QMPCapability::kOob) || queue_.size() >= kMaxQueued)) return true;
  if (in_flight_ >= kMaxInFlight) return true;
  return frontend_.backlog_bytes() > kMaxUnsent;
}

void QmpSession::process() {
  if (processing_) return;
  processing_ = true;
  const uint64_t client = client_;
  std::string_view text;
  while (client == client_ && !blocked()) {
    if (out_.size() > kMaxUnsent / 4) flush();
    if (!busy_ && !queue_.empty()) {
      process_next();
      continue;
    }
    const auto next = splitter_.next(text);
    if (next == JsonSplitter::Next::kNeedMore) break;
    if (next == JsonSplitter::Next::kValue)
      message(text);
    else
      refused({}, Error(EINVAL, std::string(text)));
  }
  processing_ = false;
  flush();
  if (client == client_) frontend_.accept_input();
}

/// What waited longest for the command before it.
void QmpSession::process_next() {
  Queued next = std::move(queue_.front());
  queue_.pop_front();
  if (next.error)
    refused(next.request.id, *next.error);
  else
    execute(next.request);
}

void QmpSession::message(std::string_view text) {
  auto parsed = request_.parse(text, has(QMPCapability::kOob));
  if (!parsed) return refused(request_.id, parsed.error());
  if (busy_ && !request_.oob)
    queue_.push_back({std::exchange(request_, {}), std::nullopt});
  else
    execute(request_);
}

void QmpSession::refused(std::string_view id, const Error& error) {
  if (busy_) {
    Queued wrong;
    wrong.request.id = id;
    wrong.error = error;
    queue_.push_back(std::move(wrong));
    return;
  }
  const size_t from = out_.size();
  qmp_append_error(out_, id, error);
  add_line(from);
}

Result<const QmpCommand*> QmpSession::find(const QmpRequest& request) const {
  const bool negotiation = request.command == kNegotiation;
  if (!negotiated_ && !negotiation)
    return fail_class(ErrorClass::kCommandNotFound, EINVAL,
                      "Expecting capabilities negotiation with 'qmp_capabilities'");
  const QmpCommand* command = qmp_find_command(commands_, request.command);
  if (command == nullptr)
    return fail_class(ErrorClass::kCommandNotFound, ENOENT, "The command ", request.command,
                      " has not been found");
  if (request.oob && !command->allow_oob)
    return fail(EINVAL, "The command ", request.command, " does not support OOB");
  if (!command->allow_preconfig && !context_.vm.initialized())
    return fail(EPERM, "The command '", request.command,
                "' is permitted only after machine initialization has completed");
  return command;
}

void QmpSession::execute(QmpRequest& request) {
  auto command = find(request);
  if (!command) {
    const size_t from = out_.size();
    qmp_append_error(out_, request.id, command.error());
    return add_line(from);
  }
  if (sent_again(request)) return;
  if ((*command)->run != nullptr)
    run(**command, request);
  else
    start(**command, request);
}

bool QmpSession::records(const QmpRequest& request) const {
  return has(QMPCapability::kOutcomeLog) && !request.id.empty() && !qmp_only_asks(request.command);
}

/// Whether the outcome log knows this command already; then its answer is that of the first time. Else it is
/// noted that it was taken.
bool QmpSession::sent_again(const QmpRequest& request) {
  if (!records(request)) return false;
  OutcomeLog::Record* record = outcomes_.find(request.id);
  if (record == nullptr) {
    outcomes_.begin(request.id, request.command, request.arguments);
    return false;
  }
  if (!OutcomeLog::same(*record, request.command, request.arguments)) {
    answer(request.id, fail(EEXIST, "The id was used for another command, '", record->command, "'"), {});
  } else if (record->state == CommandState::kRunning) {
    record->waiting_client = client_;
    if (!bounded()) busy_ = true;
  } else {
    answer_again(*record);
  }
  return true;
}

void QmpSession::answer_again(const OutcomeLog::Record& record) {
  const size_t from = out_.size();
  if (record.state == CommandState::kFailed) {
    str_append(out_, "{\"id\": ", record.id, ", \"error\": {\"class\": \"", record.error_class,
               "\", \"desc\": ");
    json_write_string(out_, record.error);
    out_ += "}}\r\n";
    return add_line(from);
  }
  if (!record.reply_kept)
    return answer(record.id, fail(E2BIG, "The command was done before; its answer was too long to keep"), {});
  answer(record.id, {}, record.reply);
}

/// Adds the answer to a command that returned the value with the text `reply`, or failed.
void QmpSession::answer(std::string_view id, const Result<>& result, std::string_view reply) {
  const size_t from = out_.size();
  if (result) {
    str_append(out_, "{\"return\": ", reply);
    qmp_end_return(out_, id);
  } else {
    qmp_append_error(out_, id, result.error());
  }
  add_line(from);
}

void QmpSession::run(const QmpCommand& command, QmpRequest& request) {
  const size_t from = out_.size();
  constexpr std::string_view kReturn = "{\"return\": ";
  const bool recorded = records(request);
  out_ += kReturn;
  building_ = true;
  auto result = command.run(context_, std::move(request.arguments), out_);
  building_ = false;
  if (recorded)
    outcomes_.finish(*outcomes_.find(request.id), result,
                     std::string_view(out_).substr(from + kReturn.size()));
  if (result) {
    qmp_end_return(out_, request.id);
  } else {
    out_.resize(from);
    qmp_append_error(out_, request.id, result.error());
  }
  add_line(from);
  if (held_events_.empty()) return;
  out_.insert(from, held_events_);
  held_events_.clear();
}

void QmpSession::start(const QmpCommand& command, QmpRequest& request) {
  auto work = std::make_shared<InFlight>();
  work->id = request.id;
  work->client = client_;
  work->in_band = !request.oob;
  work->recorded = records(request);
  if (bounded())
    ++in_flight_;
  else if (work->in_band)
    busy_ = true;
  CoResult<> running = command.co_run(context_, std::move(request.arguments), work->reply);
  gate_.spawn<void>(std::move(running),
                    [this, work](Result<> result) { finished(*work, std::move(result)); });
}

void QmpSession::finished(InFlight& work, Result<> result) {
  bool waited_for = work.client == client_;
  if (waited_for && bounded()) --in_flight_;
  if (work.recorded) {
    OutcomeLog::Record* record = outcomes_.find(work.id);
    const uint64_t waiting = record->waiting_client;
    outcomes_.finish(*record, result, work.reply);
    // The client may have come back and sent it again.
    if (!waited_for && waiting == client_) waited_for = work.in_band = true;
  }
  if (!waited_for) return;
  answer(work.id, result, work.reply);
  if (work.in_band) busy_ = false;
  process();
}

Result<> QmpSession::negotiate(const std::vector<QMPCapability>& enable) {
  if (negotiated_)
    return fail_class(ErrorClass::kCommandNotFound, EINVAL,
                      "Capabilities negotiation is already complete, command ignored");
  unsigned wanted = 0;
  for (const QMPCapability c : enable) wanted |= 1u << static_cast<unsigned>(c);
  if ((wanted & 1u << static_cast<unsigned>(QMPCapability::kOob)) != 0 && !offers_oob())
    return fail(EINVAL, "Capability oob not available");
  capabilities_ = wanted;
  negotiated_ = true;
  return {};
}

UniqueFd QmpSession::received_fd() {
  auto fds = frontend_.take_fds();
  return fds.empty() ? UniqueFd() : std::move(fds.front());
}

/// The last line of out_ is complete.
void QmpSession::add_line(size_t from) {
  if (pretty_) {
    const std::string text = qmp_pretty(std::string_view(out_).substr(from));
    out_.replace(from, std::string::npos, text);
  }
}

void QmpSession::send_event(std::string_view line) {
  if (!negotiated_) return;
  std::string& to = building_ ? held_events_ : out_;
  if (pretty_)
    to += qmp_pretty(line);
  else
    to += line;
  if (!building_ && out_.size() + frontend_.backlog_bytes() > kMaxUnsentEvents) {
    out_.clear();
    frontend_.chardev()->yank();
  }
  if (processing_ || flush_posted_) return;
  flush_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    flush_posted_ = false;
    flush();
  });
}

void QmpSession::flush() {
  if (out_.empty() || building_) return;
  frontend_.write_all(out_);
  out_.clear();
  if (out_.capacity() > kKeepCapacity) out_.shrink_to_fit();
}

}  // namespace rhea
