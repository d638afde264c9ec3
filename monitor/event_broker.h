// EventBroker: stamps, orders and limits the events of the process and hands them to the sessions.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "qapi/event.h"
#include "util/aio_context.h"

namespace rhea {

/// All sessions see the same events in the order in which they were emitted. Some kinds come at most once a
/// second; of what comes more often the last one is sent when the second is over.
class EventBroker final : public EventSink {
 public:
  static constexpr int64_t kLimitNs = 1'000'000'000;

  /// `deliver` gets each event's line, CR LF included, on the loop's thread.
  EventBroker(AioContext& loop, std::function<void(std::string_view line)> deliver);
  ~EventBroker() override;

  void emit(std::string_view name, Json data) override;

 private:
  struct Event {
    std::string_view name;
    Json data;
    int64_t time_us;  ///< since 1970
  };
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

  AioContext& loop_;
  std::function<void(std::string_view)> deliver_;
  std::string line_;
  std::vector<std::unique_ptr<Limited>> limited_;
  bool draining_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for what was posted to the loop

  std::mutex mutex_;  // guards what follows
  std::vector<Event> queue_;
};

}  // namespace rhea
