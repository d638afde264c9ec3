// AioEngine: how bytes of a descriptor are read and written without blocking a loop.
#pragma once

#include <string_view>

#include "block/graph/types.h"
#include "util/aio_context.h"
#include "util/coroutine.h"
#include "util/iov.h"

namespace rhea {

/// Each operation goes on in the loop it was awaited in. Errors carry the errno of the system call.
class AioEngine {
 public:
  virtual ~AioEngine() = default;
  virtual std::string_view name() const = 0;
  /// Reads all of `range` (iov.size() bytes); what lies behind the end of the file reads as zeroes.
  virtual CoResult<> co_preadv(int fd, ByteRange range, IoVector iov) = 0;
  /// Writes all of `range`.
  virtual CoResult<> co_pwritev(int fd, ByteRange range, IoVector iov) = 0;
  virtual CoResult<> co_fdatasync(int fd) = 0;
};

enum class AioKind : uint8_t { kThreads, kNative, kIoUring };

/// The engine of the loop the calling thread runs; made when first asked for. Fails where the kernel has
/// none.
Result<AioEngine*> aio_engine(AioKind kind);

/// The pieces of `iov` from `done` on, at most kMaxPieces of them.
struct IovecBatch {
  static constexpr size_t kMaxPieces = 64;
  iovec pieces[kMaxPieces];
  size_t count = 0;
  size_t bytes = 0;
  void fill(const IoVector& iov, size_t done) { count = iov.slice(done).fill(pieces, kMaxPieces, &bytes); }
};

}  // namespace rhea
