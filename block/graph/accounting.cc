#include "block/graph/accounting.h"

#include <algorithm>

#include "block/throttle/group.h"
#include "util/clock.h"

namespace rhea {

void TimedAverage::expire(int64_t now_ns) {
  for (Window& w : windows_) {
    if (w.ends_ns > now_ns) continue;
    const int64_t periods = (now_ns - w.ends_ns) / period_ns_ + 1;
    w = Window{.ends_ns = w.ends_ns + periods * period_ns_};
  }
}

void TimedAverage::account(uint64_t value, int64_t now_ns) {
  expire(now_ns);
  for (Window& w : windows_) {
    w.min = std::min(w.min, value);
    w.max = std::max(w.max, value);
    w.sum += value;
    ++w.count;
  }
}

TimedAverage::Summary TimedAverage::summary(int64_t now_ns) {
  expire(now_ns);
  const Window& w = windows_[windows_[0].ends_ns < windows_[1].ends_ns ? 0 : 1];
  Summary s{.elapsed_ns = period_ns_ - (w.ends_ns - now_ns)};
  if (w.count == 0) return s;
  s.min = w.min;
  s.max = w.max;
  s.sum = w.sum;
  s.average = w.sum / w.count;
  return s;
}

int64_t BlockAccounting::now_ns() {
  return block_clock().now_ns();
}

void BlockAccounting::done(Kind kind, uint64_t bytes, int64_t start_ns) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  of[kind].operations.fetch_add(1, kRelaxed);
  of[kind].bytes.fetch_add(bytes, kRelaxed);
  add_time(kind, start_ns, true);
}

void BlockAccounting::failed(Kind kind, int64_t start_ns) {
  of[kind].failed.fetch_add(1, std::memory_order_relaxed);
  add_time(kind, start_ns, counts_failed());
}

void BlockAccounting::invalid(Kind kind) {
  of[kind].invalid.fetch_add(1, std::memory_order_relaxed);
  if (counts_invalid()) last_use_ns_.store(now_ns(), std::memory_order_relaxed);
}

/// `used`: it counts as use of the drive, and its time with it.
void BlockAccounting::add_time(Kind kind, int64_t start_ns, bool used) {
  // A stepped clock stands still while a request runs: tests then see the same time for each.
  constexpr int64_t kSteppedLatencyNs = 1'000'000;
  const int64_t now = now_ns();
  const auto latency_ns =
      static_cast<uint64_t>(virtual_clock().manual() ? kSteppedLatencyNs : now - start_ns);
  const bool detailed = detailed_.load(std::memory_order_acquire);
  if (detailed && kind != kUnmap) {
    std::lock_guard guard(mutex_);
    if (std::optional<LatencyHistogram>& h = histograms_[kind]) {
      const auto bin = std::ranges::upper_bound(h->bounds_ns, latency_ns) - h->bounds_ns.begin();
      ++h->bins[static_cast<size_t>(bin)];
    }
    if (used)
      for (TimedStats& t : timed_) t.of[kind].account(latency_ns, now);
  }
  if (!used) return;
  of[kind].total_ns.fetch_add(latency_ns, std::memory_order_relaxed);
  last_use_ns_.store(now, std::memory_order_relaxed);
}

std::optional<int64_t> BlockAccounting::idle_ns() const {
  const int64_t last = last_use_ns_.load(std::memory_order_relaxed);
  if (last == 0) return std::nullopt;
  return now_ns() - last;
}

Result<> BlockAccounting::set_histogram(Kind kind, std::vector<uint64_t> bounds_ns) {
  uint64_t before = 0;
  for (const uint64_t bound : bounds_ns) {
    if (bound <= before) return fail(EINVAL, "boundary ", bound, " is not above ", before);
    before = bound;
  }
  LatencyHistogram h{.bounds_ns = std::move(bounds_ns)};
  h.bins.resize(h.bounds_ns.size() + 1);
  std::lock_guard guard(mutex_);
  histograms_[kind] = std::move(h);
  detailed_.store(true, std::memory_order_release);
  return {};
}

void BlockAccounting::clear_histograms() {
  std::lock_guard guard(mutex_);
  for (auto& h : histograms_) h.reset();
  detailed_.store(!timed_.empty(), std::memory_order_release);
}

std::optional<LatencyHistogram> BlockAccounting::histogram(Kind kind) const {
  std::lock_guard guard(mutex_);
  return histograms_[kind];
}

void BlockAccounting::add_interval(uint32_t seconds) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  const TimedAverage empty(int64_t{seconds} * kNsPerSecond, now_ns());
  std::lock_guard guard(mutex_);
  timed_.push_back({seconds, {empty, empty, empty}});
  detailed_.store(true, std::memory_order_release);
}

std::vector<BlockAccounting::Interval> BlockAccounting::intervals() {
  const int64_t now = now_ns();
  std::vector<Interval> out;
  std::lock_guard guard(mutex_);
  for (TimedStats& t : timed_) {
    Interval i{.seconds = t.seconds};
    for (size_t kind = 0; kind < i.of.size(); ++kind) i.of[kind] = t.of[kind].summary(now);
    out.push_back(i);
  }
  return out;
}

}  // namespace rhea
