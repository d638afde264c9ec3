// AIO by io_uring (liburing): one ring per loop, submitted in one system call before the loop waits.
#pragma once

#include <liburing.h>

#include <memory>

#include "block/aio/engine.h"

namespace rhea {

class IoUringEngine final : public AioEngine, public LoopHook {
 public:
  /// The ring of `loop`. Fails with the kernel's errno where io_uring is missing or forbidden.
  static Result<std::unique_ptr<IoUringEngine>> create(AioContext& loop);
  ~IoUringEngine() override;
  std::string_view name() const override { return "io_uring"; }
  CoResult<> co_preadv(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_fdatasync(int fd) override;
  bool before_wait() override;
  bool poll_begin() override { return in_flight_ != 0; }
  bool poll() override { return in_flight_ != 0 && reap(); }

 private:
  struct Operation;
  static constexpr unsigned kEntries = 128;
  explicit IoUringEngine(AioContext& loop) : loop_(loop) {}
  io_uring_sqe* get_sqe();
  bool reap();
  CoResult<> co_transfer(bool is_write, int fd, ByteRange range, IoVector iov);

  AioContext& loop_;
  io_uring ring_{};
  unsigned queued_ = 0;     ///< entries filled and not submitted
  unsigned in_flight_ = 0;  ///< those, and the ones submitted and not reaped
  std::unique_ptr<FdWatch> watch_;
};

}  // namespace rhea
