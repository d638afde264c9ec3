#include "block/throttle/limits.h"

#include <algorithm>

namespace rhea {

namespace {

using R = ThrottleRate;
constexpr int64_t kMostValue = 1'000'000'000'000'000;
constexpr double kThrottleNsPerS = 1e9;
/// Without a burst rate, what a tenth of a second has may come at once.
constexpr double kSlackS = 0.1;

/// Total and direction: what a request of that direction counts for.
constexpr std::array<R, 4> rates_of(bool is_write) {
  if (is_write) return {R::kBpsTotal, R::kBpsWrite, R::kIopsTotal, R::kIopsWrite};
  return {R::kBpsTotal, R::kBpsRead, R::kIopsTotal, R::kIopsRead};
}

Result<> check_rate(const ThrottleLimit& l) {
  if (l.avg < 0 || l.max < 0 || l.avg > kMostValue || l.max > kMostValue)
    return fail(EINVAL, "bps/iops/max values must be within [0, ", kMostValue, "]");
  if (l.burst_s == 0) return fail(EINVAL, "the burst length cannot be 0");
  const auto length = static_cast<uint64_t>(l.burst_s);  // below zero it is a very long one
  if (length > 1 && l.max == 0) return fail(EINVAL, "burst length set without burst rate");
  if (l.max != 0 && length > static_cast<uint64_t>(kMostValue / l.max))
    return fail(EINVAL, "burst length too high for this burst rate");
  if (l.max != 0 && l.avg == 0) return fail(EINVAL, "bps_max/iops_max require corresponding bps/iops values");
  if (l.max != 0 && l.max < l.avg) return fail(EINVAL, "bps_max/iops_max cannot be lower than bps/iops");
  return {};
}

}  // namespace

bool ThrottleConfig::any() const {
  return std::ranges::any_of(of, [](const ThrottleLimit& l) { return l.avg > 0; });
}

Result<> ThrottleConfig::check() const {
  const ThrottleConfig& l = *this;
  if (op_bytes != 0 && l[R::kIopsTotal].avg == 0 && l[R::kIopsRead].avg == 0 && l[R::kIopsWrite].avg == 0)
    return fail(EINVAL, "iops size requires an iops value to be set");
  auto both = [&](R total, R read, R write) {
    return (l[total].avg != 0 && (l[read].avg != 0 || l[write].avg != 0)) ||
           (l[total].max != 0 && (l[read].max != 0 || l[write].max != 0));
  };
  if (both(R::kBpsTotal, R::kBpsRead, R::kBpsWrite) || both(R::kIopsTotal, R::kIopsRead, R::kIopsWrite))
    return fail(EINVAL, "bps/iops/max total values and read/write values cannot be used at the same time");
  for (const ThrottleLimit& rate : of) TRY(check_rate(rate));
  return {};
}

void ThrottleBuckets::set(const ThrottleConfig& limits, int64_t now_ns) {
  limits_ = limits;
  levels_ = {};
  leaked_ns_ = now_ns;
}

void ThrottleBuckets::leak(int64_t now_ns) {
  const double passed_s = static_cast<double>(now_ns - leaked_ns_) / kThrottleNsPerS;
  if (passed_s <= 0) return;
  leaked_ns_ = now_ns;
  for (size_t i = 0; i < levels_.size(); ++i) {
    const ThrottleLimit& limit = limits_.of[i];
    Level& level = levels_[i];
    level.average = std::max(level.average - static_cast<double>(limit.avg) * passed_s, 0.0);
    level.burst = std::max(level.burst - static_cast<double>(limit.max) * passed_s, 0.0);
  }
}

int64_t ThrottleBuckets::wait_ns(bool is_write, int64_t now_ns) {
  leak(now_ns);
  double wait_s = 0;
  for (const R r : rates_of(is_write)) {
    const ThrottleLimit& limit = limits_[r];
    if (limit.avg == 0) continue;
    const Level& level = levels_[static_cast<size_t>(r)];
    const auto average = static_cast<double>(limit.avg), burst = static_cast<double>(limit.max);
    const double room = limit.max != 0 ? burst * static_cast<double>(limit.burst_s) : average * kSlackS;
    wait_s = std::max(wait_s, (level.average - room) / average);
    if (limit.burst_s > 1) wait_s = std::max(wait_s, (level.burst - burst * kSlackS) / burst);
  }
  if (wait_s <= 0) return 0;
  constexpr double kLongestS = 1e9;  // what fits with room to spare
  return static_cast<int64_t>(std::min(wait_s, kLongestS) * kThrottleNsPerS) + 1;
}

void ThrottleBuckets::account(bool is_write, uint64_t bytes) {
  const auto amount = static_cast<double>(bytes);
  const auto unit = static_cast<double>(limits_.op_bytes);
  const double operations = limits_.op_bytes > 0 && amount > unit ? amount / unit : 1.0;
  for (const R r : rates_of(is_write)) {
    Level& level = levels_[static_cast<size_t>(r)];
    const double poured = r <= R::kBpsWrite ? amount : operations;
    level.average += poured;
    if (limits_[r].burst_s > 1) level.burst += poured;
  }
}

}  // namespace rhea
