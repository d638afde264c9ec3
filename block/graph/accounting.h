// BlockAccounting: what became of a drive's requests, and how long they took.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "util/result.h"

namespace rhea {

/// Least, greatest and average of what came in during about the last `period_ns`: two windows of that length,
/// begun half of it apart, of which the older one is asked. Guarded by its owner.
class TimedAverage {
 public:
  TimedAverage(int64_t period_ns, int64_t now_ns)
      : period_ns_(period_ns),
        windows_{{{.ends_ns = now_ns + period_ns / 2}, {.ends_ns = now_ns + period_ns}}} {}
  void account(uint64_t value, int64_t now_ns);
  struct Summary {
    uint64_t min = 0, max = 0, average = 0, sum = 0;
    int64_t elapsed_ns = 0;  ///< since the window began
  };
  Summary summary(int64_t now_ns);

 private:
  struct Window {
    int64_t ends_ns = 0;
    uint64_t min = UINT64_MAX, max = 0, sum = 0, count = 0;
  };
  void expire(int64_t now_ns);
  int64_t period_ns_;
  std::array<Window, 2> windows_;
};

/// How many requests took how long. `bins` has one more than `bounds_ns`: the first counts those below the
/// first bound.
struct LatencyHistogram {
  std::vector<uint64_t> bounds_ns;
  std::vector<uint64_t> bins;
};

/// Counters of one backend. Any thread, but for what says otherwise. Times are those of block_clock().
class BlockAccounting {
 public:
  enum Kind { kRead, kWrite, kFlush, kUnmap, kCount };
  struct Counter {
    std::atomic<uint64_t> operations{0}, bytes{0}, failed{0}, invalid{0}, merged{0}, total_ns{0};
  };
  std::array<Counter, kCount> of;

  static int64_t now_ns();
  /// A request of `bytes` that began at `start_ns` ended well, or did not.
  void done(Kind kind, uint64_t bytes, int64_t start_ns);
  void failed(Kind kind, int64_t start_ns);
  /// One that was refused before it began.
  void invalid(Kind kind);

  /// Whether refused and failed requests count as use of the drive. Main loop.
  void set_counted(bool invalid, bool failed) {
    count_invalid_.store(invalid, std::memory_order_relaxed);
    count_failed_.store(failed, std::memory_order_relaxed);
  }
  bool counts_invalid() const { return count_invalid_.load(std::memory_order_relaxed); }
  bool counts_failed() const { return count_failed_.load(std::memory_order_relaxed); }
  /// How long the drive has not been used; nothing if it never was.
  std::optional<int64_t> idle_ns() const;

  // --- In detail, where it was asked for.
  /// Bounds grow strictly and begin above zero; else EINVAL and nothing changes.
  Result<> set_histogram(Kind kind, std::vector<uint64_t> bounds_ns);
  void clear_histograms();
  std::optional<LatencyHistogram> histogram(Kind kind) const;
  void add_interval(uint32_t seconds);
  struct Interval {
    uint32_t seconds = 0;
    std::array<TimedAverage::Summary, kUnmap> of;  ///< reads, writes, flushes
  };
  std::vector<Interval> intervals();

 private:
  struct TimedStats {
    uint32_t seconds;
    std::array<TimedAverage, kUnmap> of;
  };
  void add_time(Kind kind, int64_t start_ns, bool used);

  std::atomic<bool> count_invalid_{true}, count_failed_{true};
  std::atomic<int64_t> last_use_ns_{0};  ///< 0: never
  std::atomic<bool> detailed_{false};    ///< something of the following is in use
  mutable std::mutex mutex_;             // guards what follows
  std::array<std::optional<LatencyHistogram>, kUnmap> histograms_;
  std::vector<TimedStats> timed_;
};

}  // namespace rhea
