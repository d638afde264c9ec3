// Where QMP events go.
#pragma once

#include <string_view>

#include "util/json.h"

namespace rhea {

/// Takes the events the process emits (the monitor implements it: rate limits, time stamps, sessions).
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// `name` lives for ever; `data` is an object, null for an event without data. Any thread.
  virtual void emit(std::string_view name, Json data) = 0;
};

/// The process-wide sink; null (events are dropped) until somebody sets one.
EventSink* qapi_event_sink();
/// Sets or, with null, removes the sink. The caller keeps it alive until it is removed. Main thread.
void set_qapi_event_sink(EventSink* sink);

}  // namespace rhea
