#include "util/thread_pool.h"

#include <csignal>

namespace rhea {

namespace {
constexpr auto kIdleTime = std::chrono::seconds(10);
}

ThreadPool& thread_pool() {
  static ThreadPool pool;
  return pool;
}

ThreadPool::~ThreadPool() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  work_.notify_all();
  gone_.wait(lock, [&] { return threads_ == 0; });
}

void ThreadPool::submit(std::move_only_function<void()> fn) {
  std::unique_lock lock(mutex_);
  queue_.push_back(std::move(fn));
  if (idle_ >= static_cast<int>(queue_.size()) || threads_ >= kMaxThreads) {
    work_.notify_one();
    return;
  }
  ++threads_;
  lock.unlock();
  // Signals belong to the main thread.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  std::thread([this] { worker(); }).detach();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void ThreadPool::worker() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    const bool found = work_.wait_for(lock, kIdleTime, [&] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (!found || queue_.empty()) break;
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    fn();
    fn = nullptr;
    lock.lock();
  }
  --threads_;
  gone_.notify_all();
}

}  // namespace rhea
