#include "block/graph/range_lock.h"

namespace rhea {

bool RangeLock::conflicts(ByteRange range, bool exclusive) const {
  for (const Held& h : held_)
    if ((exclusive || h.exclusive) && h.range.offset < range.end() && range.offset < h.range.end())
      return true;
  return false;
}

CoResult<RangeLock::Guard> RangeLock::co_acquire(ByteRange range, bool exclusive) {
  struct Turn {  // waits for a release, unless the way is free; then takes the range
    RangeLock& lock;
    Held wanted;
    std::list<Held>::iterator taken{};
    bool got = false;
    Turn(RangeLock& l, ByteRange r, bool e) : lock(l), wanted{r, e} {}
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> h) {
      std::lock_guard guard(lock.mutex_);
      got = !lock.conflicts(wanted.range, wanted.exclusive);
      if (got)
        taken = lock.held_.insert(lock.held_.end(), wanted);
      else
        lock.waiters_.push_back({h, AioContext::current()});
      return !got;
    }
    void await_resume() const {}
  };
  Turn turn(*this, range, exclusive);
  while (!turn.got) co_await turn;
  co_return Guard(*this, turn.taken);
}

void RangeLock::release(std::list<Held>::iterator it) {
  std::deque<detail::Waiter> woken;
  {
    std::lock_guard guard(mutex_);
    held_.erase(it);
    woken.swap(waiters_);
  }
  for (const auto& w : woken) w.wake();
}

}  // namespace rhea
