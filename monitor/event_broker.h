// EventBroker: stamps, orders and limits the events of the process and hands them to the sessions.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/event_log.h"
#include "qapi/event.h"
#include "util/aio_context.h"

namespace rhea {

/// Where the lines of events go, CR LF included, on the loop's thread.
struct EventOutlet {
  /// To sessions that follow the protocol: some kinds come at most once a second.
  std::function<void(std::string_view name, std::string_view line)> plain;
  /// To sessions with "event-log": all of them, with their numbers. Not called while wanted() says no.
  std::function<void(std::string_view name, std::string_view line)> numbered;
  std::function<bool()> wants_numbered;
};

/// All sessions see the same events in the order in which they were emitted. Some kinds come at most once a
/// second; of what comes more often the last one is sent when the second is over. Sessions with "event-log"
/// see each one at once.
class EventBroker final : public EventSink {
 public:
  static constexpr int64_t kLimitNs = 1'000'000'000;

  EventBroker(AioContext& loop, EventOutlet outlet);
  ~EventBroker() override;

  void emit(std::string_view name, Json data) override;
  /// What was emitted so far. Loop's thread.
  const EventLog& log() const { return log_; }

 private:
  using Event = EmittedEvent;
  /// A kind (and source) of event that was sent within the last second.
  struct Limited {
    std::string_view name;
    std::string source;
    bool waiting = false;
    Event latest;
    std::unique_ptr<Timer> timer;
  };
  void drain();
  void dispatch(Event event);
  void second_over(Limited& limited);
  void send(const Event& event);
  void send_numbered(const Event& event);
  void write_line(const Event& event, bool numbered);

  AioContext& loop_;
  EventOutlet outlet_;
  EventLog log_;
  std::string line_;
  std::vector<std::unique_ptr<Limited>> limited_;
  bool draining_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for what was posted to the loop

  std::mutex mutex_;  // guards what follows
  std::vector<Event> queue_;
};

}  // namespace rhea
