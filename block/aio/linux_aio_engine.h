// AIO by the kernel's own asynchronous requests (io_submit), for files opened past the page cache. One
// context per loop, submitted in one system call before the loop waits.
#pragma once

#include <linux/aio_abi.h>

#include <deque>
#include <memory>

#include "block/aio/engine.h"
#include "util/aio_limits.h"
#include "util/unique_fd.h"

namespace rhea {

class LinuxAioEngine final : public AioEngine, public LoopHook {
 public:
  /// The context of `loop`. Fails with the kernel's errno where there are too many.
  static Result<std::unique_ptr<LinuxAioEngine>> create(AioContext& loop);
  ~LinuxAioEngine() override;
  std::string_view name() const override { return "native"; }
  CoResult<> co_preadv(int fd, ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(int fd, ByteRange range, IoVector iov) override;
  /// On the thread pool: the kernel has no good way.
  CoResult<> co_fdatasync(int fd) override;
  bool before_wait() override;
  bool poll_begin() override { return in_flight_ != 0; }
  bool poll() override;

 private:
  struct Operation;
  static constexpr unsigned kEntries = 1024;  ///< in the kernel at a time; more wait here
  static constexpr size_t kBatch = 64;        ///< handed over at a time, where the loop's owner says nothing
  explicit LinuxAioEngine(AioContext& loop)
      : loop_(loop), limits_(static_cast<const AioLimits*>(loop.attachment(&AioLimits::kKey))) {}
  size_t batch_limit() const;
  bool submit();
  bool reap();
  CoResult<> co_transfer(bool is_write, int fd, ByteRange range, IoVector iov);

  AioContext& loop_;
  const AioLimits* const limits_;  ///< the loop's; null: none
  aio_context_t context_ = 0;
  UniqueFd event_;
  std::unique_ptr<FdWatch> watch_;
  std::deque<Operation*> queued_;
  unsigned in_flight_ = 0;
};

}  // namespace rhea
