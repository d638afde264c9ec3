#include "qapi/event.h"

#include <atomic>

namespace rhea {

namespace {
std::atomic<EventSink*> current_sink{nullptr};
}

EventSink* qapi_event_sink() {
  return current_sink.load(std::memory_order_acquire);
}

void set_qapi_event_sink(EventSink* sink) {
  current_sink.store(sink, std::memory_order_release);
}

}  // namespace rhea
