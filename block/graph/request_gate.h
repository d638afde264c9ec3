// RequestGate: counts requests in flight; drained, it keeps new ones waiting until it is opened again.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>

#include "util/co_sync.h"

namespace rhea {

/// Any thread may enter and leave; one thread drains. A request that waits goes on in its own loop.
class RequestGate {
 public:
  RequestGate() = default;
  RequestGate(const RequestGate&) = delete;
  ~RequestGate() { assert(in_flight_.load() == 0); }

  /// One request inside the gate.
  class [[nodiscard]] Pass {
   public:
    explicit Pass(RequestGate& g) : g_(&g) {}
    Pass(Pass&& o) noexcept : g_(std::exchange(o.g_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (g_ != nullptr) g_->leave();
    }

   private:
    RequestGate* g_;
  };

  /// `RequestGate::Pass pass = co_await gate.co_enter();` waits while drained.
  auto co_enter() {
    struct Awaiter {
      RequestGate& g;
      bool await_ready() { return g.try_enter(); }
      bool await_suspend(std::coroutine_handle<> h) { return g.wait_to_enter(h); }
      Pass await_resume() { return Pass(g); }
    };
    return Awaiter{*this};
  }
  int in_flight() const { return in_flight_.load(std::memory_order_acquire); }
  bool drained() const { return closed_.load(std::memory_order_acquire) > 0; }

  /// New requests wait from now on. Counts: each begin() needs one end().
  void begin() { closed_.fetch_add(1); }
  /// Lets waiting requests in when the last begin() is undone.
  void end();
  /// `co_await gate.co_idle()`: waits until nothing is inside. Only between begin() and end().
  auto co_idle() {
    struct Awaiter {
      RequestGate& g;
      bool await_ready() const { return g.in_flight_.load() == 0; }
      bool await_suspend(std::coroutine_handle<> h) { return g.wait_idle(h); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  bool try_enter() {
    in_flight_.fetch_add(1);
    if (closed_.load() == 0) [[likely]]
      return true;
    leave();
    return false;
  }
  void leave() {
    if (in_flight_.fetch_sub(1) == 1 && closed_.load() > 0) wake_idle();
  }
  bool wait_to_enter(std::coroutine_handle<> h);
  bool wait_idle(std::coroutine_handle<> h);
  void wake_idle();

  std::atomic<int> in_flight_{0};
  std::atomic<int> closed_{0};
  std::mutex mutex_;  // guards what follows
  std::deque<detail::Waiter> entering_;
  std::deque<detail::Waiter> idle_;
};

}  // namespace rhea
