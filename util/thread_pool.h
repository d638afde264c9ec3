// Threads for work that must block (open() on a dead server, synchronous libraries), so that loops never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "util/aio_context.h"
#include "util/coroutine.h"

namespace rhea {

/// Runs functions on threads that start when needed and end after idling. Any thread may submit.
class ThreadPool {
 public:
  static constexpr int kMaxThreads = 64;
  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ~ThreadPool();

  /// Calls `fn` on a pool thread.
  void submit(std::move_only_function<void()> fn);

  /// `co_await pool.co_run([&]{ … })`: runs `fn` on a pool thread and goes on in the loop it came from with
  /// what `fn` returned. Name the function first: `auto work = [&] {…}; auto r = co_await pool.co_run(work);`
  /// (`fn` is borrowed).
  template <class F>
  auto co_run(F& fn) {
    using R = std::invoke_result_t<F&>;
    struct Awaiter {
      ThreadPool& pool;
      F& fn;
      std::optional<R> result = std::nullopt;
      Awaiter(ThreadPool& p, F& f) : pool(p), fn(f) {}
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) {
        AioContext* loop = AioContext::current();
        assert(loop != nullptr);
        pool.submit([this, h, loop] {
          result.emplace(fn());
          loop->schedule(h);
        });
      }
      R await_resume() { return std::move(*result); }
    };
    return Awaiter(*this, fn);
  }

 private:
  void worker();
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable gone_;
  std::deque<std::move_only_function<void()>> queue_;
  int threads_ = 0;
  int idle_ = 0;
  bool stopping_ = false;
};

/// The process's pool.
ThreadPool& thread_pool();

}  // namespace rhea
