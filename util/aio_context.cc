#include "util/aio_context.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>

namespace rhea {

namespace {
thread_local AioContext* current_loop = nullptr;
}  // namespace

Timer::Timer(AioContext& loop, Clock& clock, std::function<void()> callback)
    : loop_(loop), clock_(clock), callback_(std::move(callback)) {}

void Timer::arm(int64_t deadline_ns) {
  loop_.arm_timer(*this, std::max<int64_t>(deadline_ns, 0));
}
void Timer::cancel() {
  loop_.cancel_timer(*this);
}

FdWatch::~FdWatch() {
  set_events(0);
  for (int i = 0; i < loop_.event_count_; ++i)
    if (loop_.events_[i].data.ptr == this) loop_.events_[i].data.ptr = nullptr;
}

void FdWatch::set_events(uint32_t events) {
  if (events == events_) return;
  epoll_event ev{.events = events, .data = {.ptr = this}};
  if (events == 0) {
    epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
    registered_ = false;
  } else {
    epoll_ctl(loop_.epoll_.get(), registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd_, &ev);
    registered_ = true;
  }
  events_ = events;
}

Result<std::unique_ptr<AioContext>> AioContext::create(std::string name) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "Could not create an event loop");
  UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno(errno, "Could not create an event loop");
  epoll_event ev{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &ev) < 0)
    return fail_errno(errno, "Could not create an event loop");
  return std::unique_ptr<AioContext>(new AioContext(std::move(name), std::move(epoll), std::move(event)));
}

AioContext::AioContext(std::string name, UniqueFd epoll, UniqueFd event)
    : name_(std::move(name)), epoll_(std::move(epoll)), event_(std::move(event)) {}

AioContext::~AioContext() {
  for (auto& queue : timer_queues_) queue.clock->detach(*this);
  if (current_loop == this) current_loop = nullptr;
}

AioContext* AioContext::current() {
  return current_loop;
}

void AioContext::make_current() {
  assert(current_loop == nullptr || current_loop == this);
  current_loop = this;
}

std::unique_ptr<FdWatch> AioContext::watch_fd(int fd, uint32_t events,
                                              std::function<void(uint32_t)> callback) {
  std::unique_ptr<FdWatch> watch(new FdWatch(*this, fd, std::move(callback)));
  watch->set_events(events);
  return watch;
}

void AioContext::wake() {
  // Pairs with wait(): either the loop sees what the caller queued before it sleeps, or we see that it
  // sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!waiting_.load(std::memory_order_relaxed)) return;
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  std::ignore = ::write(event_.get(), &one, sizeof one);
}

void AioContext::post(std::move_only_function<void()> fn) {
  // Woken under the mutex: what is posted may let the loop's owner end the loop, but not before we are out.
  std::lock_guard guard(mutex_);
  posted_.push_back(std::move(fn));
  have_posted_.store(true, std::memory_order_release);
  wake();
}

void AioContext::schedule(std::coroutine_handle<> handle) {
  std::lock_guard guard(mutex_);  // as in post()
  ready_.push_back(handle);
  have_posted_.store(true, std::memory_order_release);
  wake();
}

void AioContext::run() {
  stop_ = false;
  while (!stop_.load(std::memory_order_acquire)) run_once(true);
}

void AioContext::stop() {
  stop_.store(true, std::memory_order_release);
  wake();
}

bool AioContext::run_once(bool may_wait) {
  make_current();
  bool progress = false;
  for (size_t i = 0; i < hooks_.size(); ++i) progress |= hooks_[i]->before_wait();
  for (size_t i = 0; i < hooks_.size(); ++i) hooks_[i]->after_batch();
  const int count = wait(may_wait && !progress);
  progress |= dispatch_fds(count);
  progress |= run_timers();
  progress |= run_posted();
  progress |= run_ready();
  return progress;
}

/// Looks at what the hooks can see without a system call, for poll_ns_ at most. True if there is something.
bool AioContext::look_for_work(int64_t limit_ns) {
  bool any = false;
  for (size_t i = 0; i < hooks_.size(); ++i) any |= hooks_[i]->poll_begin();
  bool found = false;
  if (any) {
    const int64_t start = realtime_clock().now_ns();
    const int64_t most = limit_ns < 0 ? poll_ns_ : std::min(poll_ns_, limit_ns);
    do {
      found = have_posted_.load(std::memory_order_acquire) || stop_.load(std::memory_order_acquire);
      for (size_t i = 0; i < hooks_.size(); ++i) found |= hooks_[i]->poll();
    } while (!found && realtime_clock().now_ns() - start < most);
  }
  for (size_t i = 0; i < hooks_.size(); ++i) found |= hooks_[i]->poll_end();
  return found;
}

/// A wait that looking a little longer would have spared makes the time longer; one that no looking would
/// have spared makes it shorter.
void AioContext::adapt_poll(int64_t waited_ns) {
  constexpr int64_t kFirst = 4000;
  const int64_t most = poll_max_ns_.load(std::memory_order_relaxed);
  if (waited_ns <= poll_ns_) return;
  if (waited_ns > most) {
    const int64_t shrink = poll_shrink_.load(std::memory_order_relaxed);
    poll_ns_ = shrink > 0 ? poll_ns_ / shrink : 0;
    return;
  }
  const int64_t grow = poll_grow_.load(std::memory_order_relaxed);
  const int64_t factor = grow > 0 ? grow : 2;
  poll_ns_ = poll_ns_ == 0 ? kFirst : poll_ns_ > most / factor ? most : poll_ns_ * factor;
  poll_ns_ = std::min(poll_ns_, most);
}

int AioContext::wait(bool may_wait) {
  const int64_t poll_max = poll_max_ns_.load(std::memory_order_relaxed);
  const bool polls = may_wait && poll_max > 0 && !hooks_.empty();
  const int64_t start = polls ? realtime_clock().now_ns() : 0;
  poll_ns_ = std::min(poll_ns_, poll_max);
  if (polls && poll_ns_ > 0 && look_for_work(wait_limit_ns())) may_wait = false;
  const int count = wait_in_kernel(may_wait);
  if (polls) adapt_poll(realtime_clock().now_ns() - start);
  return count;
}

int AioContext::wait_in_kernel(bool may_wait) {
  waiting_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  int64_t limit_ns = 0;
  if (may_wait && !have_posted_.load(std::memory_order_acquire) && !stop_.load(std::memory_order_acquire))
    limit_ns = wait_limit_ns();
  if (dispatch_lock_ != nullptr && limit_ns != 0) dispatch_lock_->unlock();
  timespec ts{.tv_sec = limit_ns / 1'000'000'000, .tv_nsec = limit_ns % 1'000'000'000};
  int count = epoll_pwait2(epoll_.get(), events_, kMaxEvents, limit_ns < 0 ? nullptr : &ts, nullptr);
  if (count < 0 && errno == ENOSYS) {
    const int64_t limit_ms =
        limit_ns < 0 ? -1 : std::min<int64_t>((limit_ns + 999'999) / 1'000'000, INT32_MAX);
    count = epoll_wait(epoll_.get(), events_, kMaxEvents, static_cast<int>(limit_ms));
  }
  if (dispatch_lock_ != nullptr && limit_ns != 0) dispatch_lock_->lock();
  waiting_.store(false, std::memory_order_relaxed);
  return std::max(count, 0);
}

bool AioContext::dispatch_fds(int count) {
  bool progress = false;
  event_count_ = count;
  for (int i = 0; i < event_count_; ++i) {
    auto* watch = static_cast<FdWatch*>(events_[i].data.ptr);
    if (watch == nullptr) continue;  // the eventfd, or a watch that went away in this pass
    const uint32_t revents = events_[i].events & (watch->events_ | EPOLLERR | EPOLLHUP);
    if (revents == 0) continue;
    watch->callback_(revents);
    progress = true;
  }
  event_count_ = 0;
  if (woken_.load(std::memory_order_acquire)) {
    uint64_t value;
    woken_.store(false, std::memory_order_release);
    std::ignore = ::read(event_.get(), &value, sizeof value);
  }
  return progress;
}

bool AioContext::run_posted() {
  if (!have_posted_.load(std::memory_order_acquire)) return false;
  {
    std::lock_guard guard(mutex_);
    running_posted_.swap(posted_);
    running_ready_.insert(running_ready_.end(), ready_.begin(), ready_.end());
    ready_.clear();
    have_posted_.store(false, std::memory_order_release);
  }
  for (auto& fn : running_posted_) fn();
  const bool progress = !running_posted_.empty();
  running_posted_.clear();
  return progress;
}

bool AioContext::run_ready() {
  if (running_ready_.empty()) return false;
  std::vector<std::coroutine_handle<>> batch;
  batch.swap(running_ready_);
  for (auto handle : batch) handle.resume();
  batch.clear();
  if (running_ready_.empty()) running_ready_.swap(batch);  // keeps the capacity
  return true;
}

AioContext::TimerQueue& AioContext::queue_of(Clock& clock) {
  for (auto& queue : timer_queues_)
    if (queue.clock == &clock) return queue;
  clock.attach(*this);
  return timer_queues_.emplace_back(TimerQueue{&clock, {}});
}

void AioContext::forget(Clock& clock) {
  std::lock_guard guard(mutex_);
  for (auto& queue : timer_queues_)
    if (queue.clock == &clock)
      for (Timer* timer : queue.timers) timer->deadline_ns_.store(-1, std::memory_order_release);
  std::erase_if(timer_queues_, [&](const TimerQueue& queue) { return queue.clock == &clock; });
}

void AioContext::arm_timer(Timer& timer, int64_t deadline_ns) {
  bool earliest;
  {
    std::lock_guard guard(mutex_);
    auto& timers = queue_of(timer.clock_).timers;
    if (timer.pending()) std::erase(timers, &timer);
    timer.deadline_ns_.store(deadline_ns, std::memory_order_release);
    auto at = std::ranges::upper_bound(timers, deadline_ns, std::greater<>{},
                                       [](Timer* t) { return t->deadline_ns(); });
    at = timers.insert(at, &timer);
    earliest = timers.back() == &timer;
  }
  if (earliest && current_loop != this) wake();
}

void AioContext::cancel_timer(Timer& timer) {
  if (!timer.pending()) return;
  std::lock_guard guard(mutex_);
  if (!timer.pending()) return;
  std::erase(queue_of(timer.clock_).timers, &timer);
  timer.deadline_ns_.store(-1, std::memory_order_release);
}

int64_t AioContext::next_deadline_ns(const Clock& clock) const {
  std::lock_guard guard(mutex_);
  for (const auto& queue : timer_queues_)
    if (queue.clock == &clock && !queue.timers.empty()) return queue.timers.back()->deadline_ns();
  return INT64_MAX;
}

int64_t AioContext::wait_limit_ns() const {
  std::lock_guard guard(mutex_);
  int64_t limit = INT64_MAX;
  for (const auto& queue : timer_queues_) {
    if (queue.timers.empty() || !queue.clock->running()) continue;
    const int64_t left = std::max<int64_t>(queue.timers.back()->deadline_ns() - queue.clock->now_ns(), 0);
    const auto* virtual_time = dynamic_cast<const VirtualClock*>(queue.clock);
    if (left > 0 && virtual_time != nullptr && virtual_time->manual()) continue;  // whoever steps it wakes us
    limit = std::min(limit, left);
  }
  return limit == INT64_MAX ? -1 : limit;
}

bool AioContext::run_due_timers(Clock& clock) {
  bool progress = false;
  while (true) {
    Timer* due = nullptr;
    {
      std::lock_guard guard(mutex_);
      auto& timers = queue_of(clock).timers;
      if (timers.empty() || !clock.running() || timers.back()->deadline_ns() > clock.now_ns())
        return progress;
      due = timers.back();
      timers.pop_back();
      due->deadline_ns_.store(-1, std::memory_order_release);
    }
    due->callback_();
    progress = true;
  }
}

bool AioContext::run_timers() {
  bool progress = false;
  for (size_t i = 0;; ++i) {
    Clock* clock;
    {
      std::lock_guard guard(mutex_);
      if (i >= timer_queues_.size()) return progress;
      clock = timer_queues_[i].clock;
      if (timer_queues_[i].timers.empty()) continue;
    }
    progress |= run_due_timers(*clock);
  }
}

}  // namespace rhea
