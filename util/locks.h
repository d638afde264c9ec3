// The machine lock, and the one lock order of the program:
//
//   MachineLock  >  an object's own mutex (AioContext, ThreadPool, GuestRam …)  >  nothing
//
// A thread that holds a mutex further right never takes one further left.
#pragma once

#include <mutex>

namespace rhea {

/// Serialises device emulation: vCPU threads hold it while they handle an exit to a device, the main loop
/// while it dispatches. Never held across a blocking system call.
class MachineLock {
 public:
  void lock() {
    mutex_.lock();
    held_ = true;
  }
  void unlock() {
    held_ = false;
    mutex_.unlock();
  }
  /// True if the calling thread holds it.
  static bool held() { return held_; }

 private:
  std::mutex mutex_;
  static inline thread_local bool held_ = false;
};

/// The process's one machine lock.
MachineLock& machine_lock();

using MachineGuard = std::lock_guard<MachineLock>;

}  // namespace rhea
