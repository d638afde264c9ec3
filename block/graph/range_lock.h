// RangeLock: orders overlapping writes of a node whose requests are smaller than its alignment.
#pragma once

#include <deque>
#include <list>
#include <mutex>

#include "block/graph/types.h"
#include "util/co_sync.h"

namespace rhea {

/// Ranges being written. Shared ranges may overlap one another; an exclusive one overlaps nothing. Any loop.
class RangeLock {
 public:
  struct Held {
    ByteRange range;
    bool exclusive;
  };
  class [[nodiscard]] Guard {
   public:
    Guard(RangeLock& lock, std::list<Held>::iterator it) : lock_(&lock), it_(it) {}
    Guard(Guard&& o) noexcept : lock_(std::exchange(o.lock_, nullptr)), it_(o.it_) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (lock_ != nullptr) lock_->release(it_);
    }

   private:
    RangeLock* lock_;
    std::list<Held>::iterator it_;
  };
  /// Waits until nothing held is in the way. First come is not always first served.
  CoResult<Guard> co_acquire(ByteRange range, bool exclusive);

 private:
  bool conflicts(ByteRange range, bool exclusive) const;
  void release(std::list<Held>::iterator it);
  std::mutex mutex_;  // guards what follows
  std::list<Held> held_;
  std::deque<detail::Waiter> waiters_;
};

}  // namespace rhea
