// How much the guest writes to its memory, told from samples: pages whose contents differ some seconds later.
#pragma once

#include <memory>
#include <vector>

#include "memory/guest_ram.h"
#include "qapi/qapi_types_migration.h"
#include "util/aio_context.h"
#include "util/co_sync.h"

namespace rhea {

/// Main loop; the pages are read on pool threads.
class DirtyRateMeter {
 public:
  static constexpr int64_t kMinSeconds = 1, kMaxSeconds = 60;
  static constexpr int64_t kMinPages = 128, kMaxPages = 16384, kDefaultPages = 512;  ///< of a GiB

  explicit DirtyRateMeter(AioContext& loop);
  /// Begins to measure. Fails where it does already.
  Result<> start(int64_t seconds, int64_t pages_per_gib);
  const DirtyRateInfo& info() const { return info_; }
  /// Gives up what is under way.
  CoResult<> co_stop();

 private:
  struct Page {
    std::shared_ptr<RamBlock> block;
    uint64_t offset;
    uint32_t checksum;
  };
  void choose_pages();
  CoResult<> co_sample();
  CoResult<> co_compare();

  AioContext& loop_;
  Timer timer_;  ///< the end of the measurement
  DirtyRateInfo info_;
  std::vector<Page> pages_;
  uint64_t memory_bytes_ = 0;
  Gate gate_;
};

}  // namespace rhea
