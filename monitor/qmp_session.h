// QmpSession: a QMP monitor on a character device; clients come and go, one at a time.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "chardev/char_frontend.h"
#include "monitor/outcome_log.h"
#include "monitor/qmp_request.h"
#include "qapi/command.h"
#include "qapi/monitor_session.h"
#include "qapi/qmp_context.h"
#include "util/aio_context.h"
#include "util/co_sync.h"
#include "util/json.h"

namespace rhea {

/// Reads what is there, answers every complete command in order, and writes all answers at once. A command
/// that has to wait holds up only this session; out-of-band commands overtake it. Main loop's thread.
class QmpSession final : public MonitorSession {
 public:
  /// Commands that may wait while one runs, when out-of-band execution is on.
  static constexpr size_t kMaxQueued = 8;
  /// Commands that may be under way at a time with "bounded".
  static constexpr size_t kMaxInFlight = 64;
  /// With this much output not yet taken by the client no more commands are executed.
  static constexpr size_t kMaxUnsent = size_t{1} << 20;
  /// With this much (events alone can do that) the client is given up.
  static constexpr size_t kMaxUnsentEvents = size_t{64} << 20;

  /// `context` is copied, with this session put in.
  QmpSession(AioContext& loop, const QmpContext& context, std::span<const QmpCommand> commands, bool pretty);
  ~QmpSession() override;
  /// Begins on `chardev`: "Device 'ID' is in use".
  Result<> attach(Chardev& chardev);
  /// While held it takes no input, so no command runs. Not held when made.
  void set_held(bool held) {
    input_held_ = held;
    if (!held) frontend_.accept_input();
  }
  /// Waits for commands under way.
  CoResult<> co_stop() { return gate_.co_close(); }

  /// Sends an event's line to a client that has negotiated.
  void send_event(std::string_view line);
  /// Writes what has been gathered.
  void flush();

  Result<> negotiate(const std::vector<QMPCapability>& enable) override;
  bool bounded() const override { return has(QMPCapability::kBounded); }
  /// Whether its client has asked for "event-log".
  bool numbers_events() const { return has(QMPCapability::kEventLog); }
  /// False for the events of extensions that its client has not asked for.
  bool wants_event(std::string_view name) const {
    return name != "DEVICE_UNPLUG" || has(QMPCapability::kUnplug);
  }
  /// The commands that came while a client had asked for "outcome-log".
  const OutcomeLog& outcomes() const { return outcomes_; }
  UniqueFd received_fd() override;

 private:
  /// A command that could not answer at once.
  struct InFlight {
    std::string id;
    std::string reply;
    uint64_t client;
    bool in_band;
    bool recorded;  ///< in outcomes_, under its id
  };
  struct Queued {
    QmpRequest request;
    std::optional<Error> error;  ///< the message was wrong: answer in turn
  };

  void opened();
  void closed();
  void read(std::span<const uint8_t> data);
  bool blocked() const;
  void process();
  void process_next();
  void message(std::string_view text);
  void refused(std::string_view id, const Error& error);
  void execute(QmpRequest& request);
  Result<const QmpCommand*> find(const QmpRequest& request) const;
  void run(const QmpCommand& command, QmpRequest& request);
  void start(const QmpCommand& command, QmpRequest& request);
  void finished(InFlight& work, Result<> result);
  void answer(std::string_view id, const Result<>& result, std::string_view reply);
  bool records(const QmpRequest& request) const;
  bool sent_again(const QmpRequest& request);
  void answer_again(const OutcomeLog::Record& record);
  bool has(QMPCapability c) const { return (capabilities_ >> static_cast<unsigned>(c)) & 1; }
  void add_line(size_t from);
  bool offers_oob() const;

  AioContext& loop_;
  QmpContext context_;
  const std::span<const QmpCommand> commands_;
  const bool pretty_;
  CharFrontend frontend_;
  bool input_held_ = false;
  Gate gate_;
  OutcomeLog outcomes_;

  // Of the present client.
  uint64_t client_ = 0;  ///< counts clients
  bool connected_ = false;
  bool negotiated_ = false;
  unsigned capabilities_ = 0;  ///< a bit for each QMPCapability
  bool busy_ = false;          ///< an in-band command is under way that others wait for
  size_t in_flight_ = 0;       ///< commands under way that others do not wait for
  JsonSplitter splitter_;
  QmpRequest request_;  ///< reused
  std::deque<Queued> queue_;

  std::string out_;          ///< answers and events of this pass
  bool building_ = false;    ///< a command writes its answer at the end of out_
  std::string held_events_;  ///< what came meanwhile, goes before the answer
  bool processing_ = false;
  bool flush_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rhea
