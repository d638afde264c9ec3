#include "monitor/event_broker.h"

#include <algorithm>

#include "util/json.h"
#include "util/str.h"

namespace rhea {

namespace {

/// The events that come at most once a second, and the member that tells their sources apart.
struct Limit {
  std::string_view name;
  std::string_view source_member;
};
constexpr Limit kLimits[] = {
    {"BALLOON_CHANGE", ""}, {"MEMORY_DEVICE_SIZE_CHANGE", "qom-path"},
    {"QUORUM_FAILURE", ""}, {"QUORUM_REPORT_BAD", "node-name"},
    {"RTC_CHANGE", ""},     {"VSERPORT_CHANGE", "id"},
    {"WATCHDOG", ""},
};

std::string source_of(const Limit& limit, const Json& data) {
  const Json* source = data.find(limit.source_member);
  return source != nullptr && source->is_string() ? source->as_string() : std::string();
}

}  // namespace

EventBroker::EventBroker(AioContext& loop, EventOutlet outlet) : loop_(loop), outlet_(std::move(outlet)) {}

EventBroker::~EventBroker() {
  *alive_ = false;
}

void EventBroker::emit(std::string_view name, Json data) {
  {
    // The time is taken inside, so that the order of the stamps is that of the queue.
    std::lock_guard guard(mutex_);
    queue_.push_back({name, std::move(data), host_clock().now_ns() / 1000});
  }
  if (loop_.in_loop_thread()) return drain();
  loop_.post([this, alive = alive_] {
    if (*alive) drain();
  });
}

void EventBroker::drain() {
  if (draining_) return;  // an event out of an event: the loop below gets to it
  draining_ = true;
  while (true) {
    std::vector<Event> batch;
    {
      std::lock_guard guard(mutex_);
      batch.swap(queue_);
    }
    if (batch.empty()) break;
    for (Event& event : batch) dispatch(std::move(event));
  }
  draining_ = false;
}

void EventBroker::dispatch(Event event) {
  const auto* limit = std::ranges::find(kLimits, event.name, &Limit::name);
  if (limit == std::end(kLimits)) {
    log_.add(event, nullptr);
    send_numbered(event);
    return send(event);
  }
  std::string source = source_of(*limit, event.data);
  log_.add(event, &source);
  send_numbered(event);
  for (auto& l : limited_) {
    if (l->name != event.name || l->source != source) continue;
    l->waiting = true;
    l->latest = std::move(event);
    return;
  }
  send(event);
  auto l = std::make_unique<Limited>();
  l->name = event.name;
  l->source = std::move(source);
  l->timer = std::make_unique<Timer>(loop_, realtime_clock(), [this, l = l.get()] { second_over(*l); });
  l->timer->arm_in(kLimitNs);
  limited_.push_back(std::move(l));
}

void EventBroker::second_over(Limited& limited) {
  if (limited.waiting) {
    limited.waiting = false;
    send(limited.latest);
    return limited.timer->arm_in(kLimitNs);
  }
  // The timer may not destroy itself while it runs.
  loop_.post([this, alive = alive_, l = &limited] {
    if (!*alive) return;
    std::erase_if(limited_, [&](const auto& one) { return one.get() == l && !l->waiting; });
    for (auto& one : limited_)
      if (one.get() == l) l->timer->arm_in(0);  // another came in the meantime
  });
}

void EventBroker::write_line(const Event& event, bool numbered) {
  line_.clear();
  str_append(line_, "{\"timestamp\": {\"seconds\": ", event.time_us / 1'000'000,
             ", \"microseconds\": ", event.time_us % 1'000'000, "}, \"event\": \"", event.name, '"');
  if (numbered) str_append(line_, ", \"sequence\": ", event.sequence);
  if (!event.data.is_null()) {
    line_ += ", \"data\": ";
    event.data.write(line_);
  }
  line_ += "}\r\n";
}

void EventBroker::send(const Event& event) {
  write_line(event, false);
  outlet_.plain(event.name, line_);
}

void EventBroker::send_numbered(const Event& event) {
  if (!outlet_.wants_numbered()) return;
  write_line(event, true);
  outlet_.numbered(event.name, line_);
}

}  // namespace rhea
