// Keeps vCPUs out of the guest for the moment in which memory slots are replaced.
//
// KVM changes one slot at a time: a guest that fetched an instruction from memory whose slot is just being
// replaced would find none there, which ends in an emulation failure.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace rhea {

class KvmGate {
 public:
  /// One vCPU's place: whether it is inside KVM_RUN.
  using Place = std::atomic<bool>;

  /// Before KVM_RUN; waits while the gate is shut.
  void enter(Place& place) {
    while (true) {
      place.store(true);
      if (!shut_.load()) return;
      leave(place);
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !shut_.load(); });
    }
  }
  void leave(Place& place) {
    place.store(false);
    if (!shut_.load()) return;
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  void shut() { shut_.store(true); }
  void wait_outside(Place& place) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !place.load(); });
  }
  void open() {
    std::lock_guard lock(mutex_);
    shut_.store(false);
    changed_.notify_all();
  }

 private:
  std::atomic<bool> shut_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace rhea
