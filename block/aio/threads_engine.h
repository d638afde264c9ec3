// AIO by blocking system calls on the thread pool.
#pragma once

#include "block/aio/engine.h"

namespace rhea {

/// Stateless: one serves all loops.
class ThreadsEngine final : public AioEngine {
 public:
  std::string_view name() const override { return "threads"; }
  CoResult<> co_preadv(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_fdatasync(int fd) override;
};

}  // namespace rhea
