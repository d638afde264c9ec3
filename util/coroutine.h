// CoResult<T>: a coroutine that ends with a Result<T>. It starts when awaited and is held by whoever awaits
// it.
#pragma once

#include <atomic>
#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "util/result.h"

namespace rhea {

template <class T = void>
class CoResult;

namespace detail {

/// Frames come from a per-thread cache, so that a request does not visit the general allocator.
void* frame_allocate(size_t bytes);
void frame_free(void* p, size_t bytes);

class CoPromiseBase {
 public:
  static void* operator new(size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* p, size_t bytes) { frame_free(p, bytes); }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) const noexcept {
      h.promise().finish();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() const noexcept { std::terminate(); }

  /// The end of the coroutine and the suspension of its awaiter meet here: whoever comes second resumes the
  /// awaiter. No symmetric transfer: it would need tail calls, which an unoptimised build does not make.
  void finish() noexcept {
    if (met_.exchange(true, std::memory_order_acq_rel)) continuation_.resume();
  }
  /// Starts the coroutine; true if it has not ended and `continuation` will be resumed.
  bool start(std::coroutine_handle<> self, std::coroutine_handle<> continuation) noexcept {
    continuation_ = continuation;
    self.resume();
    return !met_.exchange(true, std::memory_order_acq_rel);
  }

 private:
  std::coroutine_handle<> continuation_;
  std::atomic<bool> met_{false};
};

template <class T>
class CoPromise : public CoPromiseBase {
 public:
  CoResult<T> get_return_object() noexcept;
  void return_value(Result<T> r) { result_.emplace(std::move(r)); }
  void set_error(Error e) { result_.emplace(Failure(std::move(e))); }
  Result<T> take() {
    assert(result_.has_value());
    return std::move(*result_);
  }

 private:
  std::optional<Result<T>> result_;
};

}  // namespace detail

template <class T>
class [[nodiscard]] CoResult {
 public:
  using promise_type = detail::CoPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit CoResult(Handle h) noexcept : h_(h) {}
  CoResult(CoResult&& other) noexcept : h_(std::exchange(other.h_, {})) {}
  CoResult& operator=(CoResult&& other) noexcept {
    if (h_) h_.destroy();
    h_ = std::exchange(other.h_, {});
    return *this;
  }
  ~CoResult() {
    if (h_) h_.destroy();
  }

  /// Awaiting starts it; the awaiter goes on where it ends, with the Result<T>.
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) noexcept { return h_.promise().start(h_, awaiter); }
  Result<T> await_resume() { return h_.promise().take(); }

 private:
  Handle h_;
};

template <class T>
CoResult<T> detail::CoPromise<T>::get_return_object() noexcept {
  return CoResult<T>(std::coroutine_handle<CoPromise>::from_promise(*this));
}

/// `co_await or_return(result)`: the value, or ends the enclosing CoResult coroutine with the error.
template <class T>
class [[nodiscard]] OrReturn {
 public:
  explicit OrReturn(Result<T> r) : r_(std::move(r)) {}
  bool await_ready() const noexcept { return r_.has_value(); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) {
    auto& promise = h.promise();
    promise.set_error(std::move(r_).error());
    promise.finish();
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*r_);
  }

 private:
  Result<T> r_;
};

template <class T>
OrReturn<T> or_return(Result<T> r) {
  return OrReturn<T>(std::move(r));
}

namespace detail {
/// A coroutine nobody awaits; frees itself.
struct Detached {
  struct promise_type {
    static void* operator new(size_t bytes) { return frame_allocate(bytes); }
    static void operator delete(void* p, size_t bytes) { frame_free(p, bytes); }
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

template <class T>
Detached run_detached(CoResult<T> work, std::move_only_function<void(Result<T>)> done) {
  Result<T> result = co_await work;
  if (done) done(std::move(result));
}
}  // namespace detail

/// Starts `work` from plain code; `done` gets its result where the work ends. The caller sees to it that what
/// `work` uses outlives it (Gate).
template <class T>
void co_start(CoResult<T> work, std::move_only_function<void(Result<T>)> done) {
  detail::run_detached<T>(std::move(work), std::move(done));
}

}  // namespace rhea
