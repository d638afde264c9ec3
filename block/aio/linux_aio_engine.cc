#include "block/aio/linux_aio_engine.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "util/thread_pool.h"

namespace rhea {

/// One request; lives in the frame of the coroutine that awaits it.
struct LinuxAioEngine::Operation {
  explicit Operation(LinuxAioEngine& e) : engine(e) {}
  LinuxAioEngine& engine;
  iocb control{};
  IovecBatch batch;
  int64_t result = 0;
  std::coroutine_handle<> waiter;

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    waiter = h;
    engine.queued_.push_back(this);
  }
  int64_t await_resume() const { return result; }
};

Result<std::unique_ptr<LinuxAioEngine>> LinuxAioEngine::create(AioContext& loop) {
  std::unique_ptr<LinuxAioEngine> engine(new LinuxAioEngine(loop));
  engine->event_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!engine->event_) return fail_errno(errno, "failed to initialize event notifier");
  if (syscall(SYS_io_setup, kEntries, &engine->context_) < 0) {
    engine->context_ = 0;
    return fail_errno(errno, "failed to create linux AIO context");
  }
  LinuxAioEngine* self = engine.get();
  engine->watch_ = loop.watch_fd(engine->event_.get(), EPOLLIN, [self](uint32_t) {
    uint64_t count = 0;
    std::ignore = ::read(self->event_.get(), &count, sizeof count);
    self->reap();
  });
  loop.add_hook(self);
  return engine;
}

LinuxAioEngine::~LinuxAioEngine() {
  if (watch_) loop_.remove_hook(this);
  if (context_ != 0) syscall(SYS_io_destroy, context_);
}

size_t LinuxAioEngine::batch_limit() const {
  const int64_t wanted = limits_ != nullptr ? limits_->max_batch.load(std::memory_order_relaxed) : 0;
  return wanted > 0 ? std::min(static_cast<size_t>(wanted), kBatch) : kBatch;
}

/// Hands over what is queued. True if requests ended because the kernel refused them.
bool LinuxAioEngine::submit() {
  const size_t limit = batch_limit();
  bool progress = false;
  while (!queued_.empty() && in_flight_ < kEntries) {
    std::array<iocb*, kBatch> batch;
    const size_t n = std::min({queued_.size(), limit, size_t{kEntries - in_flight_}});
    for (size_t i = 0; i < n; ++i) batch[i] = &queued_[i]->control;
    const long taken = syscall(SYS_io_submit, context_, static_cast<long>(n), batch.data());
    if (taken > 0) {
      queued_.erase(queued_.begin(), queued_.begin() + taken);
      in_flight_ += static_cast<unsigned>(taken);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN && in_flight_ != 0) break;  // when some have ended
    Operation* refused = queued_.front();
    queued_.pop_front();
    refused->result = -errno;
    refused->waiter.resume();
    progress = true;
  }
  return progress;
}

bool LinuxAioEngine::reap() {
  bool any = false;
  for (;;) {
    std::array<io_event, 64> events;
    timespec at_once{};
    const long n =
        syscall(SYS_io_getevents, context_, 0L, static_cast<long>(events.size()), events.data(), &at_once);
    if (n <= 0) return any;
    in_flight_ -= static_cast<unsigned>(n);
    for (long i = 0; i < n; ++i) {
      auto* op = reinterpret_cast<Operation*>(events[static_cast<size_t>(i)].data);
      op->result = events[static_cast<size_t>(i)].res;
      op->waiter.resume();
    }
    any = true;
    if (n < static_cast<long>(events.size())) return any;
  }
}

/// How far the kernel has come stands at the beginning of what it maps at a context's address.
bool LinuxAioEngine::poll() {
  struct Ring {
    uint32_t id, nr, head, tail, magic;
  };
  constexpr uint32_t kMagic = 0xa10a10a1;
  const auto* const ring = reinterpret_cast<const Ring*>(context_);
  if (in_flight_ == 0 || ring->magic != kMagic) return false;
  const uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
  return head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) && reap();
}

bool LinuxAioEngine::before_wait() {
  if (queued_.empty()) return false;
  bool progress = submit();
  // Some storage is done at once.
  if (in_flight_ != 0) progress |= reap();
  return progress;
}

CoResult<> LinuxAioEngine::co_transfer(bool is_write, int fd, ByteRange range, IoVector iov) {
  Operation op(*this);
  for (size_t done = 0; done < range.bytes;) {
    op.batch.fill(iov, done);
    op.control = {};
    op.control.aio_data = reinterpret_cast<uint64_t>(&op);
    op.control.aio_lio_opcode = is_write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV;
    op.control.aio_fildes = static_cast<uint32_t>(fd);
    op.control.aio_buf = reinterpret_cast<uint64_t>(op.batch.pieces);
    op.control.aio_nbytes = op.batch.count;
    op.control.aio_offset = static_cast<int64_t>(range.offset + done);
    op.control.aio_flags = IOCB_FLAG_RESFD;
    op.control.aio_resfd = static_cast<uint32_t>(event_.get());
    const int64_t n = co_await op;
    if (n == -EINTR || n == -EAGAIN) {
      co_await loop_.co_yield_now();
      continue;
    }
    if (n < 0)
      co_return fail_errno(static_cast<int>(-n), is_write ? "Cannot write " : "Cannot read ", range.bytes,
                           " bytes at ", range.offset);
    if (n == 0) {
      if (is_write) co_return fail_errno(ENOSPC, "Cannot write ", range.bytes, " bytes at ", range.offset);
      iov.slice(done).zero();
      break;
    }
    done += static_cast<size_t>(n);
  }
  co_return Result<>();
}

CoResult<> LinuxAioEngine::co_preadv(int fd, ByteRange range, IoVector iov) {
  return co_transfer(false, fd, range, iov);
}

CoResult<> LinuxAioEngine::co_pwritev(int fd, ByteRange range, IoVector iov) {
  return co_transfer(true, fd, range, iov);
}

CoResult<> LinuxAioEngine::co_fdatasync(int fd) {
  auto work = [&] { return ::fdatasync(fd) == 0 ? 0 : errno; };
  const int err = co_await thread_pool().co_run(work);
  if (err != 0) co_return fail_errno(err, "Cannot flush");
  co_return Result<>();
}

}  // namespace rhea
