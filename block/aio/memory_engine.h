// An engine whose storage is memory: the test twin, with failures and delays on request.
#pragma once

#include <mutex>
#include <vector>

#include "block/aio/engine.h"

namespace rhea {

/// Behaves as the others do; the descriptor is ignored. Any loop.
class MemoryEngine final : public AioEngine {
 public:
  explicit MemoryEngine(size_t bytes) : bytes_(bytes) {}
  std::string_view name() const override { return "memory"; }
  CoResult<> co_preadv(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_fdatasync(int fd) override;

  /// The next request of its kind fails with `errnum`.
  void fail_next_read(int errnum) { fail_read_ = errnum; }
  void fail_next_write(int errnum) { fail_write_ = errnum; }
  void fail_next_flush(int errnum) { fail_flush_ = errnum; }
  /// Requests that are not multiples of it fail with EINVAL.
  void set_alignment(uint32_t alignment) { alignment_ = alignment; }
  /// Each request takes this long.
  void set_delay_ns(int64_t delay_ns) { delay_ns_ = delay_ns; }
  std::vector<uint8_t>& bytes() { return bytes_; }
  int reads() const { return reads_; }
  int writes() const { return writes_; }
  int flushes() const { return flushes_; }

 private:
  CoResult<> co_begin(ByteRange range, int& fail_next);
  std::mutex mutex_;
  std::vector<uint8_t> bytes_;
  uint32_t alignment_ = 1;
  int64_t delay_ns_ = 0;
  int fail_read_ = 0, fail_write_ = 0, fail_flush_ = 0;
  int reads_ = 0, writes_ = 0, flushes_ = 0;
};

}  // namespace rhea
