// SharedSnapshot: the newest of a sequence of immutable objects, for one writer and many readers.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace rhea {

/// Readers keep what they loaded for as long as they hold it; a store never waits for them to finish with it.
/// Any thread. The lock covers the copy of a pointer. (gcc 12's std::atomic<std::shared_ptr> does the same
/// but lets a reader's unlock be seen before its read.)
template <class T>
class SharedSnapshot {
 public:
  std::shared_ptr<T> load() const {
    const Locked guard(lock_);
    return value_;
  }
  void store(std::shared_ptr<T> value) {
    const Locked guard(lock_);
    value_.swap(value);  // the old one goes after the lock
  }

 private:
  class Locked {
   public:
    explicit Locked(std::atomic_flag& flag) : flag_(flag) {
      while (flag_.test_and_set(std::memory_order_acquire)) flag_.wait(true, std::memory_order_relaxed);
    }
    ~Locked() {
      flag_.clear(std::memory_order_release);
      flag_.notify_one();
    }
    Locked(const Locked&) = delete;

   private:
    std::atomic_flag& flag_;
  };
  mutable std::atomic_flag lock_;
  std::shared_ptr<T> value_;
};

}  // namespace rhea
