// How much may be requested of a disk in a second, and the leaky buckets that keep to it.
#pragma once

#include <array>
#include <cstdint>

#include "util/result.h"

namespace rhea {

/// One rate. All values are a user's; ThrottleConfig::check() says whether they make sense.
struct ThrottleLimit {
  int64_t avg = 0;      ///< bytes or requests a second; 0: no limit
  int64_t max = 0;      ///< the same for bursts; 0: a burst has what a tenth of a second has
  int64_t burst_s = 1;  ///< how long a burst may last, in seconds
  friend bool operator==(const ThrottleLimit&, const ThrottleLimit&) = default;
};

/// What a limit is about.
enum class ThrottleRate : uint8_t { kBpsTotal, kBpsRead, kBpsWrite, kIopsTotal, kIopsRead, kIopsWrite };

struct ThrottleConfig {
  static constexpr size_t kRates = 6;
  std::array<ThrottleLimit, kRates> of;
  int64_t op_bytes = 0;  ///< a larger request counts as several of this size; 0: every request is one

  ThrottleLimit& operator[](ThrottleRate r) { return of[static_cast<size_t>(r)]; }
  const ThrottleLimit& operator[](ThrottleRate r) const { return of[static_cast<size_t>(r)]; }
  /// True if anything is limited.
  bool any() const;
  /// "bps/iops/max values must be within …" and the like.
  Result<> check() const;
  friend bool operator==(const ThrottleConfig&, const ThrottleConfig&) = default;
};

/// Fill levels. A request pours its bytes (or one) in, and what is in leaks away at the average rate; while a
/// bucket holds more than it may, requests wait. A limit with a burst length has a second bucket that leaks
/// at the burst rate, so that a burst does not come all at once. Guarded by its owner.
class ThrottleBuckets {
 public:
  explicit ThrottleBuckets(int64_t now_ns) : leaked_ns_(now_ns) {}
  /// Checked ones. The buckets become empty.
  void set(const ThrottleConfig& limits, int64_t now_ns);
  const ThrottleConfig& limits() const { return limits_; }
  /// How long a request has to wait from `now_ns` on; 0: not at all.
  int64_t wait_ns(bool is_write, int64_t now_ns);
  /// A request of `bytes` goes on.
  void account(bool is_write, uint64_t bytes);

 private:
  struct Level {
    double average = 0, burst = 0;
  };
  void leak(int64_t now_ns);
  ThrottleConfig limits_;
  std::array<Level, ThrottleConfig::kRates> levels_;
  int64_t leaked_ns_;
};

}  // namespace rhea
