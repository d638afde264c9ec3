// Clocks, in nanoseconds. Timers on them belong to an AioContext (util/aio_context.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace rhea {

class AioContext;

/// A source of time. Reading is safe on any thread.
class Clock {
 public:
  /// Timers on it that are pending never go off. No loop with such timers may run meanwhile.
  virtual ~Clock();
  virtual int64_t now_ns() const = 0;
  /// False while the clock stands still: its timers then wait.
  virtual bool running() const { return true; }

 protected:
  friend class AioContext;
  void attach(AioContext& loop);
  void detach(AioContext& loop);
  /// Wakes each loop that has timers on this clock, so that it computes its time-outs anew.
  void notify_loops();

 private:
  std::mutex mutex_;
  std::vector<AioContext*> loops_;
};

/// CLOCK_MONOTONIC: never stops; for time-outs of the host's side.
Clock& realtime_clock();
/// CLOCK_REALTIME: wall time since 1970.
Clock& host_clock();

/// The guest's time: stands still while the machine is stopped; under qtest it moves only when stepped.
class VirtualClock final : public Clock {
 public:
  int64_t now_ns() const override;
  bool running() const override { return running_.load(std::memory_order_acquire); }
  /// Main thread. start() continues from where stop() left it.
  void start();
  void stop();
  /// Makes it a clock that only step_to() moves (accelerator qtest).
  void set_manual();
  bool manual() const { return manual_; }
  /// Manual clock: moves to `ns` (not backwards), running `loop`'s due timers in order on the way. Loop's
  /// thread.
  void step_to(int64_t ns, AioContext& loop);
  /// Sets the current time: loading a saved machine.
  void set_now(int64_t ns);

 private:
  std::atomic<bool> running_{false};
  std::atomic<int64_t> offset_{0};  ///< running: guest time = monotonic + offset; else guest time itself
  bool manual_ = false;
};

/// The machine's virtual clock.
VirtualClock& virtual_clock();

}  // namespace rhea
