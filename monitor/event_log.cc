#include "monitor/event_log.h"

#include <sys/random.h>

#include <algorithm>

#include "util/str.h"

namespace rhea {

EventLog::EventLog() {
  uint64_t random[2] = {};
  std::ignore = getrandom(random, sizeof random, 0);  // if the kernel has none the number is as good as any
  run_ = hex(random[0], 16) + hex(random[1], 16);
}

void EventLog::supersede(std::string_view name, const std::string& source) {
  const auto old = std::find_if(kept_.rbegin(), kept_.rend(), [&](const Kept& k) {
    return k.limited && k.event.name == name && k.source == source;
  });
  if (old == kept_.rend()) return;
  bytes_ -= old->bytes;
  kept_.erase(std::next(old).base());
}

void EventLog::add(EmittedEvent& event, const std::string* source) {
  event.sequence = ++last_;
  if (source != nullptr) supersede(event.name, *source);
  Kept kept{event, source != nullptr, source != nullptr ? *source : std::string(), sizeof(Kept)};
  if (!event.data.is_null()) kept.bytes += event.data.dump().size();
  bytes_ += kept.bytes;
  kept_.push_back(std::move(kept));
  while (kept_.size() > kMaxEvents || (bytes_ > kMaxBytes && kept_.size() > 1)) {
    bytes_ -= kept_.front().bytes;
    lost_ = std::max(lost_, kept_.front().event.sequence);
    kept_.pop_front();
  }
}

}  // namespace rhea
