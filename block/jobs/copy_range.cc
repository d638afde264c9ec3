#include "block/jobs/copy_range.h"

#include <algorithm>
#include <optional>

#include "block/graph/aligned_buffer.h"
#include "block/graph/chain.h"
#include "block/graph/io.h"

namespace rhea {

namespace {

constexpr uint64_t kMaxCopyBytes = 1u << 20;

CoResult<> co_read(const CopyEnd& end, ByteRange range, IoVector iov) {
  if (end.backend != nullptr) return end.backend->co_preadv(range, iov);
  return co_node_preadv(*end.node, range, iov);
}
CoResult<> co_write(const CopyEnd& end, ByteRange range, IoVector iov) {
  if (end.backend != nullptr) return end.backend->co_pwritev(range, iov);
  return co_node_pwritev(*end.node, range, iov);
}
CoResult<> co_zero(const CopyEnd& end, ByteRange range, bool unmap) {
  if (end.backend != nullptr) return end.backend->co_pwrite_zeroes(range, unmap);
  return co_node_pwrite_zeroes(*end.node, range, unmap);
}

}  // namespace

CoResult<> co_copy_range(CopyEnd source, CopyEnd target, ByteRange range, bool unmap, CopyFailure& failure) {
  const uint64_t end = std::min({range.end(), source.node->total_bytes(), target.node->total_bytes()});
  AlignedBuffer buffer;
  for (uint64_t at = range.offset; at < end;) {
    ByteRange part(at, std::min(end - at, kMaxCopyBytes));
    Result<BlockStatus> status;
    {
      std::optional<RequestGate::Pass> pass;
      if (source.backend != nullptr) pass.emplace(co_await source.backend->gate().co_enter());
      status = co_await co_status_above(*source.node, nullptr, true, part);
    }
    // Where nobody knows, reading tells.
    const bool known = status && status->bytes != 0;
    if (known) part.bytes = std::min(part.bytes, status->bytes);
    Result<> done;
    failure.reading = false;
    if (known && (status->zero || !status->allocated)) {
      done = co_await co_zero(target, part, unmap);
    } else {
      if (buffer.data() == nullptr) co_await or_return(buffer.allocate(4096, kMaxCopyBytes));
      done = co_await co_read(source, part, buffer.iov(part.bytes));
      if (!done)
        failure.reading = true;
      else
        done = co_await co_write(target, part, buffer.iov(part.bytes));
    }
    if (!done) {
      failure.errnum = done.error().errnum();
      co_return done;
    }
    at += part.bytes;
  }
  co_return Result<>();
}

}  // namespace rhea
