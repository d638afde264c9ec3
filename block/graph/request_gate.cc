#include "block/graph/request_gate.h"

namespace rhea {

// A sequentially consistent order over in_flight_ and closed_ makes either the drainer see the request or the
// request see the drain; both may, and then the mutex sorts them out.

bool RequestGate::wait_to_enter(std::coroutine_handle<> h) {
  std::lock_guard guard(mutex_);
  if (closed_.load() == 0) {
    in_flight_.fetch_add(1);
    return false;
  }
  entering_.push_back({h, AioContext::current()});
  return true;
}

void RequestGate::end() {
  std::deque<detail::Waiter> admitted;
  {
    std::lock_guard guard(mutex_);
    if (closed_.fetch_sub(1) != 1) return;
    admitted.swap(entering_);
    in_flight_.fetch_add(static_cast<int>(admitted.size()));
  }
  for (const auto& w : admitted) w.wake();
}

bool RequestGate::wait_idle(std::coroutine_handle<> h) {
  std::lock_guard guard(mutex_);
  if (in_flight_.load() == 0) return false;
  idle_.push_back({h, AioContext::current()});
  return true;
}

void RequestGate::wake_idle() {
  std::deque<detail::Waiter> all;
  {
    std::lock_guard guard(mutex_);
    all.swap(idle_);
  }
  for (const auto& w : all) w.wake();
}

}  // namespace rhea
