// EventLog: the events of the process under running numbers, so that a client that was away can catch up.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "util/json.h"

namespace rhea {

/// An event as it was emitted.
struct EmittedEvent {
  std::string_view name;  ///< lives for ever
  Json data;              ///< an object or null
  int64_t time_us = 0;    ///< since 1970
  uint64_t sequence = 0;  ///< 0: not numbered yet
};

/// Keeps the latest events. Of kinds that tell a value, which may come without end, only the latest one of
/// each source is kept: earlier ones are "superseded" and not missed. Main loop's thread.
class EventLog {
 public:
  static constexpr size_t kMaxEvents = 4096;
  static constexpr size_t kMaxBytes = size_t{4} << 20;

  EventLog();
  /// Gives the event its number and keeps it. `source`: who it is about, where a later event of that kind and
  /// source makes this one meaningless; null where each counts.
  void add(EmittedEvent& event, const std::string* source);
  /// Those with a number above `since`, in order.
  template <class F>
  void for_each_since(uint64_t since, F&& visit) const {
    for (const Kept& kept : kept_)
      if (kept.event.sequence > since) visit(kept.event);
  }
  /// Whether all events above `since` are kept or superseded.
  bool complete_since(uint64_t since) const { return since >= lost_; }
  uint64_t last() const { return last_; }
  /// Random; tells this process's numbers from another's.
  const std::string& run() const { return run_; }

 private:
  struct Kept {
    EmittedEvent event;
    bool limited;
    std::string source;
    size_t bytes;
  };
  void supersede(std::string_view name, const std::string& source);
  std::string run_;
  std::deque<Kept> kept_;
  size_t bytes_ = 0;
  uint64_t last_ = 0;
  uint64_t lost_ = 0;  ///< the highest number that fell out for want of room
};

}  // namespace rhea
