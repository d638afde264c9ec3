// AioContext: the event loop a thread runs. File descriptors, timers, deferred calls, coroutines to resume.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "util/clock.h"
#include "util/locks.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

class AioContext;

/// Calls a function when its time has come. Owned by whoever waits; destroying or cancelling it on the loop's
/// thread or under the lock the loop dispatches with guarantees that the function is not called afterwards.
class Timer {
 public:
  /// `callback` runs on `loop`'s thread, and stays with the timer.
  Timer(AioContext& loop, Clock& clock, std::function<void()> callback);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  /// (Re)arms for the moment `deadline_ns` of the clock. Any thread.
  void arm(int64_t deadline_ns);
  /// The same, `delay_ns` from now.
  void arm_in(int64_t delay_ns) { arm(clock_.now_ns() + delay_ns); }
  void cancel();
  bool pending() const { return deadline_ns_.load(std::memory_order_acquire) >= 0; }
  /// -1 if not pending.
  int64_t deadline_ns() const { return deadline_ns_.load(std::memory_order_acquire); }
  Clock& clock() const { return clock_; }

 private:
  friend class AioContext;
  AioContext& loop_;
  Clock& clock_;
  std::function<void()> callback_;
  std::atomic<int64_t> deadline_ns_{-1};
};

/// Keeps a descriptor watched while it lives. Belongs to the loop's thread. Does not own the descriptor.
class FdWatch {
 public:
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  /// Changes the awaited EPOLL* bits; 0 watches nothing.
  void set_events(uint32_t events);
  uint32_t events() const { return events_; }

 private:
  friend class AioContext;
  FdWatch(AioContext& loop, int fd, std::function<void(uint32_t)> callback)
      : loop_(loop), fd_(fd), callback_(std::move(callback)) {}
  AioContext& loop_;
  int fd_;
  uint32_t events_ = 0;
  bool registered_ = false;
  std::function<void(uint32_t)> callback_;
};

/// What a loop asks of an I/O engine it drives (block/aio): work before it sleeps.
class LoopHook {
 public:
  virtual ~LoopHook() = default;
  /// Before the loop waits: submit what was queued since. True if callbacks or coroutines ran: the loop then
  /// does not wait in this pass. Loop's thread.
  virtual bool before_wait() = 0;
  /// After all hooks' before_wait(): what a batch of callbacks left to be told to others. Loop's thread.
  virtual void after_batch() {}

  // Looking instead of sleeping: for a time that adapts (AioContext::set_poll) the loop asks poll(), which
  // makes no system call, before it waits. Loop's thread.
  /// Looking begins: nobody need wake the loop for what poll() finds. False: this hook has nothing to look
  /// at.
  virtual bool poll_begin() { return false; }
  /// True if there was something to do; it is done now.
  virtual bool poll() { return false; }
  /// Looking has ended: the loop wants to be woken again. True if something came just now, and was done.
  virtual bool poll_end() { return false; }
};

/// How long a loop looks for work before it sleeps. Times in ns.
struct PollLimits {
  int64_t max_ns = 0;  ///< 0: it never does
  int64_t grow = 0;    ///< by which the time is multiplied when it was too short; 0: 2
  int64_t shrink = 0;  ///< by which it is divided when it was in vain; 0: it begins anew from nothing
};

class AioContext {
 public:
  /// A loop with a name for diagnostics. Fails with the errno of epoll_create1 or eventfd.
  static Result<std::unique_ptr<AioContext>> create(std::string name);
  ~AioContext();
  AioContext(const AioContext&) = delete;
  AioContext& operator=(const AioContext&) = delete;

  /// The loop the calling thread runs, null if it runs none.
  static AioContext* current();
  const std::string& name() const { return name_; }
  bool in_loop_thread() const { return current() == this; }
  /// Makes the calling thread this loop's, before run().
  void make_current();

  /// Calls `callback(events)` when `fd` has one of the EPOLL* `events` (level triggered). Loop's thread, or
  /// before it runs.
  std::unique_ptr<FdWatch> watch_fd(int fd, uint32_t events, std::function<void(uint32_t)> callback);

  /// Calls `fn` on the loop's thread, in order, soon. Any thread.
  void post(std::move_only_function<void()> fn);
  /// Calls `fn` on the loop's thread and waits for it; at once if that is the calling thread. For whoever
  /// hands something over to a loop that never waits for its own thread or for the machine lock (an I/O
  /// thread's): it takes no longer than the pass under way there. Any thread.
  template <class F>
  void run_sync(F&& fn) {
    if (in_loop_thread()) return fn();
    Handover handover;
    post([&fn, &handover] {
      fn();
      handover.finish();
    });
    handover.wait();
  }
  /// Resumes `handle` on the loop's thread, soon. Any thread. Does not allocate in the steady state.
  void schedule(std::coroutine_handle<> handle);
  /// `co_await loop.co_switch()`: goes on, on this loop's thread.
  auto co_switch() {
    struct Awaiter {
      AioContext& loop;
      bool await_ready() const noexcept { return loop.in_loop_thread(); }
      void await_suspend(std::coroutine_handle<> h) { loop.schedule(h); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  /// `co_await loop.co_yield_now()`: lets everything else that is ready run first.
  auto co_yield_now() {
    struct Awaiter {
      AioContext& loop;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) { loop.schedule(h); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  /// `co_await loop.co_sleep(clock, ns)`: goes on after `delay_ns` of `clock`, on this loop.
  auto co_sleep(Clock& clock, int64_t delay_ns) {
    struct Awaiter {
      AioContext& loop;
      Clock& clock;
      int64_t delay_ns;
      std::unique_ptr<Timer> timer = nullptr;
      bool await_ready() const noexcept { return delay_ns <= 0; }
      void await_suspend(std::coroutine_handle<> h) {
        timer = std::make_unique<Timer>(loop, clock, [h] { h.resume(); });
        timer->arm_in(delay_ns);
      }
      void await_resume() const noexcept {}
      Awaiter(AioContext& l, Clock& c, int64_t d) : loop(l), clock(c), delay_ns(d) {}
    };
    return Awaiter(*this, clock, delay_ns);
  }

  /// Runs until stop(). The calling thread becomes the loop's.
  void run();
  /// Makes run() return after the pass under way. Any thread.
  void stop();
  /// One pass: waits (if `may_wait`) for something to do and does it. True if something was done. For tests
  /// and shutdown.
  bool run_once(bool may_wait);
  /// Lets the loop look at its time-outs anew. Any thread.
  void wake();

  /// Held while callbacks run, released while the loop waits. Set before run().
  void set_dispatch_lock(MachineLock* lock) { dispatch_lock_ = lock; }
  /// How long the loop looks for work, where its hooks can, before it sleeps. Any thread.
  void set_poll(const PollLimits& limits) {
    poll_max_ns_.store(limits.max_ns, std::memory_order_relaxed);
    poll_grow_.store(limits.grow, std::memory_order_relaxed);
    poll_shrink_.store(limits.shrink, std::memory_order_relaxed);
  }
  /// How long it looks at present, in ns. Loop's thread.
  int64_t poll_ns() const { return poll_ns_; }
  /// Called before each wait, in the order in which they came. Loop's thread.
  void add_hook(LoopHook* hook) { hooks_.push_back(hook); }
  void remove_hook(LoopHook* hook) { std::erase(hooks_, hook); }

  /// Keeps `object` with the loop until the loop ends, found again by `key` (any address that is its own).
  /// Loop's thread.
  void attach(const void* key, std::shared_ptr<void> object) {
    attachments_.emplace_back(key, std::move(object));
  }
  /// What attach() was given under `key`, null if nothing. Loop's thread.
  void* attachment(const void* key) const {
    for (const auto& [k, object] : attachments_)
      if (k == key) return object.get();
    return nullptr;
  }

  /// The earliest deadline among timers on `clock`, INT64_MAX if none. Any thread.
  int64_t next_deadline_ns(const Clock& clock) const;
  /// Runs the timers on `clock` that are due. Loop's thread.
  bool run_due_timers(Clock& clock);

 private:
  friend class Clock;
  friend class Timer;
  friend class FdWatch;
  struct TimerQueue {
    Clock* clock;
    std::vector<Timer*> timers;  ///< latest deadline first
  };
  /// Where run_sync() waits.
  class Handover {
   public:
    void finish() {
      const std::lock_guard guard(mutex_);  // whoever waits destroys this only afterwards
      done_ = true;
      changed_.notify_one();
    }
    void wait() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return done_; });
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false;
  };
  AioContext(std::string name, UniqueFd epoll, UniqueFd event);
  void arm_timer(Timer& timer, int64_t deadline_ns);
  void cancel_timer(Timer& timer);
  TimerQueue& queue_of(Clock& clock);
  void forget(Clock& clock);
  int64_t wait_limit_ns() const;
  int wait(bool may_wait);
  int wait_in_kernel(bool may_wait);
  bool look_for_work(int64_t limit_ns);
  void adapt_poll(int64_t waited_ns);
  bool dispatch_fds(int count);
  bool run_posted();
  bool run_ready();
  bool run_timers();

  static constexpr int kMaxEvents = 64;
  std::string name_;
  UniqueFd epoll_;
  UniqueFd event_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> waiting_{false};  ///< in or about to enter epoll_wait
  std::atomic<bool> woken_{false};    ///< the eventfd has been written
  std::atomic<bool> have_posted_{false};
  MachineLock* dispatch_lock_ = nullptr;
  std::vector<LoopHook*> hooks_;
  epoll_event events_[kMaxEvents];
  int event_count_ = 0;  ///< entries of events_ still to be dispatched
  std::atomic<int64_t> poll_max_ns_{0}, poll_grow_{0}, poll_shrink_{0};
  int64_t poll_ns_ = 0;  ///< loop's thread only

  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::move_only_function<void()>> posted_;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<TimerQueue> timer_queues_;
  std::vector<std::move_only_function<void()>> running_posted_;             // loop's thread only
  std::vector<std::coroutine_handle<>> running_ready_;                      // loop's thread only
  std::vector<std::pair<const void*, std::shared_ptr<void>>> attachments_;  // loop's thread only
};

}  // namespace rhea
