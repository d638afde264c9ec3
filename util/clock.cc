#include "util/clock.h"

#include <time.h>

#include <algorithm>

#include "util/aio_context.h"

namespace rhea {

namespace {

int64_t read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

template <clockid_t Id>
class HostTimeClock final : public Clock {
 public:
  int64_t now_ns() const override { return read_clock(Id); }
};

}  // namespace

Clock::~Clock() {
  for (AioContext* loop : loops_) loop->forget(*this);
}

void Clock::attach(AioContext& loop) {
  std::lock_guard guard(mutex_);
  loops_.push_back(&loop);
}

void Clock::detach(AioContext& loop) {
  std::lock_guard guard(mutex_);
  std::erase(loops_, &loop);
}

void Clock::notify_loops() {
  std::lock_guard guard(mutex_);
  for (AioContext* loop : loops_) loop->wake();
}

Clock& realtime_clock() {
  static HostTimeClock<CLOCK_MONOTONIC> clock;
  return clock;
}

Clock& host_clock() {
  static HostTimeClock<CLOCK_REALTIME> clock;
  return clock;
}

VirtualClock& virtual_clock() {
  static VirtualClock clock;
  return clock;
}

int64_t VirtualClock::now_ns() const {
  // Reading the pair (running, offset) is not atomic; stop() and start() keep the result continuous to within
  // the time between the two loads.
  const int64_t offset = offset_.load(std::memory_order_acquire);
  return running_.load(std::memory_order_acquire) && !manual_ ? read_clock(CLOCK_MONOTONIC) + offset : offset;
}

void VirtualClock::start() {
  if (running()) return;
  if (!manual_) offset_ = offset_.load() - read_clock(CLOCK_MONOTONIC);
  running_.store(true, std::memory_order_release);
  notify_loops();
}

void VirtualClock::stop() {
  if (!running()) return;
  const int64_t now = now_ns();
  running_.store(false, std::memory_order_release);
  offset_ = now;
}

void VirtualClock::set_manual() {
  manual_ = true;
}

void VirtualClock::set_now(int64_t ns) {
  offset_ = running() && !manual_ ? ns - read_clock(CLOCK_MONOTONIC) : ns;
  notify_loops();
}

void VirtualClock::step_to(int64_t ns, AioContext& loop) {
  while (true) {
    const int64_t deadline = loop.next_deadline_ns(*this);
    if (deadline > ns || !running()) break;
    offset_ = std::max(offset_.load(), deadline);
    loop.run_due_timers(*this);
  }
  offset_ = std::max(offset_.load(), ns);
  notify_loops();  // timers of other loops may be due
}

}  // namespace rhea
