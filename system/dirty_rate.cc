#include "system/dirty_rate.h"

#include <zlib.h>

#include <algorithm>
#include <random>

#include "memory/memory.h"
#include "util/clock.h"
#include "util/thread_pool.h"

namespace rhea {

namespace {
constexpr uint64_t kRateMiB = uint64_t{1} << 20, kRateGiB = uint64_t{1} << 30;
constexpr int64_t kRateNsPerSecond = 1'000'000'000;

uint32_t page_checksum(const RamBlock& block, uint64_t offset) {
  return static_cast<uint32_t>(::crc32(0, block.host() + offset, kPageSize));
}
}  // namespace

DirtyRateMeter::DirtyRateMeter(AioContext& loop)
    : loop_(loop), timer_(loop, realtime_clock(), [this] { gate_.spawn(co_compare(), {}); }) {
  info_.status = DirtyRateStatus::kUnstarted;
  info_.mode = DirtyRateMeasureMode::kPageSampling;
}

Result<> DirtyRateMeter::start(int64_t seconds, int64_t pages_per_gib) {
  if (info_.status == DirtyRateStatus::kMeasuring)
    return fail(EBUSY, "the dirty rate is already being measured.");
  if (seconds < kMinSeconds || seconds > kMaxSeconds)
    return fail(EINVAL, "calc-time is out of range[", kMinSeconds, ", ", kMaxSeconds, "].");
  if (pages_per_gib < kMinPages || pages_per_gib > kMaxPages)
    return fail(EINVAL, "sample-pages is out of range[", kMinPages, ", ", kMaxPages, "].");
  info_ = {};
  info_.status = DirtyRateStatus::kMeasuring;
  info_.mode = DirtyRateMeasureMode::kPageSampling;
  info_.start_time = realtime_clock().now_ns() / kRateNsPerSecond;
  info_.calc_time = seconds;
  info_.sample_pages = static_cast<uint64_t>(pages_per_gib);
  choose_pages();
  gate_.spawn(co_sample(), {});
  return {};
}

/// Of each block of the guest's memory, by chance.
void DirtyRateMeter::choose_pages() {
  pages_.clear();
  memory_bytes_ = 0;
  std::mt19937_64 random(std::random_device{}());
  for (const auto& block : memory_space().view()->blocks) {
    const uint64_t pages = block->size() / kPageSize;
    if (pages == 0 || block->size() < kRateMiB) continue;  // firmware and the like
    memory_bytes_ += block->size();
    const uint64_t wanted = std::max<uint64_t>(info_.sample_pages * block->size() / kRateGiB, 1);
    for (uint64_t i = 0; i < std::min(wanted, pages); ++i)
      pages_.push_back({.block = block, .offset = random() % pages * kPageSize, .checksum = 0});
  }
}

CoResult<> DirtyRateMeter::co_sample() {
  auto work = [this] {
    for (Page& page : pages_) page.checksum = page_checksum(*page.block, page.offset);
    return 0;
  };
  std::ignore = co_await thread_pool().co_run(work);
  timer_.arm_in(info_.calc_time * kRateNsPerSecond);
  co_return Result<>();
}

CoResult<> DirtyRateMeter::co_compare() {
  auto work = [this] {
    return std::ranges::count_if(
        pages_, [](const Page& page) { return page.checksum != page_checksum(*page.block, page.offset); });
  };
  const auto changed = static_cast<uint64_t>(co_await thread_pool().co_run(work));
  const uint64_t looked_at = std::max<uint64_t>(pages_.size(), 1);
  const uint64_t mib = memory_bytes_ / kRateMiB * changed / looked_at;
  info_.dirty_rate = static_cast<int64_t>(mib) / info_.calc_time;
  info_.status = DirtyRateStatus::kMeasured;
  pages_.clear();
  co_return Result<>();
}

CoResult<> DirtyRateMeter::co_stop() {
  timer_.cancel();
  co_return co_await gate_.co_close();
}

}  // namespace rhea
