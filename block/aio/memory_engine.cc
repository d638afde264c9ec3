#include "block/aio/memory_engine.h"

#include "util/clock.h"

namespace rhea {

CoResult<> MemoryEngine::co_begin(ByteRange range, int& fail_next) {
  if (delay_ns_ > 0) co_await AioContext::current()->co_sleep(realtime_clock(), delay_ns_);
  if (const int err = std::exchange(fail_next, 0)) co_return fail_errno(err, "Injected");
  if (((range.offset | range.bytes) & (alignment_ - 1)) != 0) co_return fail_errno(EINVAL, "Misaligned");
  co_return Result<>();
}

CoResult<> MemoryEngine::co_preadv(int, ByteRange range, IoVector iov) {
  co_await or_return(co_await co_begin(range, fail_read_));
  std::lock_guard guard(mutex_);
  ++reads_;
  const size_t inside =
      range.offset < bytes_.size() ? std::min<uint64_t>(range.bytes, bytes_.size() - range.offset) : 0;
  iov.slice(0, inside).copy_from(bytes_.data() + (inside != 0 ? range.offset : 0));
  iov.slice(inside).zero();
  co_return Result<>();
}

CoResult<> MemoryEngine::co_pwritev(int, ByteRange range, IoVector iov) {
  co_await or_return(co_await co_begin(range, fail_write_));
  std::lock_guard guard(mutex_);
  ++writes_;
  if (range.end() > bytes_.size()) bytes_.resize(range.end());
  iov.copy_to(bytes_.data() + range.offset);
  co_return Result<>();
}

CoResult<> MemoryEngine::co_fdatasync(int) {
  const ByteRange none;
  co_await or_return(co_await co_begin(none, fail_flush_));
  ++flushes_;
  co_return Result<>();
}

}  // namespace rhea
