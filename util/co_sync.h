// Meeting points of coroutines: mutex, event, gate. Each is safe across loops; a waiter goes on in the loop
// it waited in.
#pragma once

#include <coroutine>
#include <deque>
#include <mutex>

#include "util/aio_context.h"
#include "util/coroutine.h"

namespace rhea {

namespace detail {
/// A suspended coroutine and the loop it goes on in.
struct Waiter {
  std::coroutine_handle<> handle;
  AioContext* loop;
  void wake() const {
    if (loop != nullptr)
      loop->schedule(handle);
    else
      handle.resume();
  }
};
}  // namespace detail

/// Mutual exclusion between coroutines; first come, first served.
class CoMutex {
 public:
  class [[nodiscard]] Guard {
   public:
    Guard() = default;
    explicit Guard(CoMutex& m) : m_(&m) {}
    Guard(Guard&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
    Guard& operator=(Guard&& o) noexcept {
      release();
      m_ = std::exchange(o.m_, nullptr);
      return *this;
    }
    ~Guard() { release(); }
    void release() {
      if (m_ != nullptr) std::exchange(m_, nullptr)->unlock();
    }

   private:
    CoMutex* m_ = nullptr;
  };
  /// `CoMutex::Guard guard = co_await mutex.co_lock();`
  auto co_lock() {
    struct Awaiter {
      CoMutex& m;
      bool await_ready() { return m.try_lock(); }
      bool await_suspend(std::coroutine_handle<> h) {
        std::lock_guard guard(m.mutex_);
        if (!m.locked_) {
          m.locked_ = true;
          return false;
        }
        m.waiters_.push_back({h, AioContext::current()});
        return true;
      }
      Guard await_resume() { return Guard(m); }
    };
    return Awaiter{*this};
  }
  bool try_lock() {
    std::lock_guard guard(mutex_);
    return !std::exchange(locked_, true);
  }

 private:
  void unlock() {
    detail::Waiter next{};
    {
      std::lock_guard guard(mutex_);
      if (waiters_.empty()) {
        locked_ = false;
        return;
      }
      next = waiters_.front();
      waiters_.pop_front();
    }
    next.wake();  // the lock passes to it
  }
  std::mutex mutex_;
  bool locked_ = false;
  std::deque<detail::Waiter> waiters_;
};

/// Coroutines wait in it until somebody wakes them.
class CoQueue {
 public:
  /// Suspends until woken.
  auto co_wait() {
    struct Awaiter {
      CoQueue& q;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) {
        std::lock_guard guard(q.mutex_);
        q.waiters_.push_back({h, AioContext::current()});
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  /// Suspends until woken; `lock` is let go of when nobody can be missed any more.
  auto co_wait_unlocking(std::unique_lock<std::mutex> lock) {
    struct Awaiter {
      CoQueue& q;
      std::unique_lock<std::mutex> lock;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) {
        std::mutex* held = lock.release();  // this object may be gone once somebody can wake it
        {
          std::lock_guard guard(q.mutex_);
          q.waiters_.push_back({h, AioContext::current()});
        }
        held->unlock();
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this, std::move(lock)};
  }
  /// False if nobody waited.
  bool wake_one() {
    detail::Waiter w{};
    {
      std::lock_guard guard(mutex_);
      if (waiters_.empty()) return false;
      w = waiters_.front();
      waiters_.pop_front();
    }
    w.wake();
    return true;
  }
  void wake_all() {
    std::deque<detail::Waiter> all;
    {
      std::lock_guard guard(mutex_);
      all.swap(waiters_);
    }
    for (const auto& w : all) w.wake();
  }
  bool empty() const {
    std::lock_guard guard(mutex_);
    return waiters_.empty();
  }

 private:
  mutable std::mutex mutex_;
  std::deque<detail::Waiter> waiters_;
};

/// Counts work in flight; whoever stops the owner waits until it is zero. One loop's thread, or guarded by
/// its owner.
class Gate {
 public:
  class [[nodiscard]] Pass {
   public:
    explicit Pass(Gate& g) : g_(&g) { g.enter(); }
    Pass(Pass&& o) noexcept : g_(std::exchange(o.g_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (g_ != nullptr) g_->leave();
    }

   private:
    Gate* g_;
  };
  ~Gate() { assert(count_ == 0); }
  void enter() { count_.fetch_add(1, std::memory_order_relaxed); }
  void leave() {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.wake_all();
  }
  int count() const { return count_.load(std::memory_order_acquire); }
  /// Starts `work`; `done` (may be empty) gets its result. co_close() waits for it.
  template <class T>
  void spawn(CoResult<T> work, std::move_only_function<void(Result<T>)> done = {}) {
    enter();
    co_start<T>(std::move(work), [this, done = std::move(done)](Result<T> r) mutable {
      if (done) done(std::move(r));
      leave();
    });
  }
  /// Waits until nothing is in flight.
  CoResult<> co_close() {
    while (count() != 0) co_await idle_.co_wait();
    co_return Result<>();
  }

 private:
  std::atomic<int> count_{0};
  CoQueue idle_;
};

/// Runs `loop` on the calling thread until `work` ends. For main() of a program and for tests: the one place
/// where plain code waits for a coroutine.
template <class T>
Result<T> run_to_completion(AioContext& loop, CoResult<T> work) {
  std::optional<Result<T>> result;
  loop.make_current();
  co_start<T>(std::move(work), [&](Result<T> r) {
    result.emplace(std::move(r));
    loop.wake();
  });
  while (!result) loop.run_once(true);
  return std::move(*result);
}

}  // namespace rhea
