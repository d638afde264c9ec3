#include "block/aio/io_uring_engine.h"

namespace rhea {

/// One entry in flight; lives in the frame of the coroutine that awaits it.
struct IoUringEngine::Operation {
  enum Kind { kRead, kWrite, kFdatasync };
  Operation(IoUringEngine& e, Kind k, int f) : engine(e), kind(k), fd(f) {}
  IoUringEngine& engine;
  Kind kind;
  int fd;
  uint64_t offset = 0;
  IovecBatch batch;
  int result = 0;
  std::coroutine_handle<> waiter;

  bool await_ready() const { return false; }
  /// Goes on at once with EAGAIN if there is no room for an entry.
  bool await_suspend(std::coroutine_handle<> h) {
    waiter = h;
    io_uring_sqe* sqe = engine.get_sqe();
    if (sqe == nullptr) {
      result = -EAGAIN;
      return false;
    }
    const auto pieces = static_cast<unsigned>(batch.count);
    if (kind == kFdatasync)
      io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    else if (kind == kRead)
      io_uring_prep_readv(sqe, fd, batch.pieces, pieces, offset);
    else
      io_uring_prep_writev(sqe, fd, batch.pieces, pieces, offset);
    io_uring_sqe_set_data(sqe, this);
    ++engine.queued_;
    ++engine.in_flight_;
    return true;
  }
  int await_resume() const { return result; }
};

Result<std::unique_ptr<IoUringEngine>> IoUringEngine::create(AioContext& loop) {
  std::unique_ptr<IoUringEngine> engine(new IoUringEngine(loop));
  const int err = io_uring_queue_init(kEntries, &engine->ring_, 0);
  if (err < 0) {
    engine->ring_.ring_fd = -1;
    return fail_errno(-err, "Unable to use linux io_uring");
  }
  IoUringEngine* self = engine.get();
  engine->watch_ = loop.watch_fd(engine->ring_.ring_fd, EPOLLIN, [self](uint32_t) { self->reap(); });
  loop.add_hook(self);
  return engine;
}

IoUringEngine::~IoUringEngine() {
  if (watch_ == nullptr) return;
  loop_.remove_hook(this);
  watch_.reset();
  io_uring_queue_exit(&ring_);
}

io_uring_sqe* IoUringEngine::get_sqe() {
  if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_)) return sqe;
  if (io_uring_submit(&ring_) >= 0) queued_ = 0;
  return io_uring_get_sqe(&ring_);
}

bool IoUringEngine::before_wait() {
  // What was read from the page cache is complete right after submission, and its coroutine may queue more.
  constexpr int kRounds = 8;
  bool progress = false;
  for (int i = 0; i < kRounds && queued_ != 0; ++i) {
    if (io_uring_submit(&ring_) < 0) return true;  // EBUSY, EAGAIN: tried again in the next pass, soon
    queued_ = 0;
    progress |= reap();
  }
  if (queued_ != 0 && io_uring_submit(&ring_) >= 0) queued_ = 0;
  return progress;
}

bool IoUringEngine::reap() {
  bool any = false;
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    auto* op = static_cast<Operation*>(io_uring_cqe_get_data(cqe));
    op->result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    --in_flight_;
    op->waiter.resume();
    any = true;
  }
  return any;
}

CoResult<> IoUringEngine::co_transfer(bool is_write, int fd, ByteRange range, IoVector iov) {
  Operation op(*this, is_write ? Operation::kWrite : Operation::kRead, fd);
  for (size_t done = 0; done < range.bytes;) {
    op.batch.fill(iov, done);
    op.offset = range.offset + done;
    const int n = co_await op;
    if (n == -EINTR || n == -EAGAIN) {
      co_await loop_.co_yield_now();
      continue;
    }
    if (n < 0)
      co_return fail_errno(-n, is_write ? "Cannot write " : "Cannot read ", range.bytes, " bytes at ",
                           range.offset);
    if (n == 0) {
      if (is_write) co_return fail_errno(ENOSPC, "Cannot write ", range.bytes, " bytes at ", range.offset);
      iov.slice(done).zero();
      break;
    }
    done += static_cast<size_t>(n);
  }
  co_return Result<>();
}

CoResult<> IoUringEngine::co_preadv(int fd, ByteRange range, IoVector iov) {
  return co_transfer(false, fd, range, iov);
}

CoResult<> IoUringEngine::co_pwritev(int fd, ByteRange range, IoVector iov) {
  return co_transfer(true, fd, range, iov);
}

CoResult<> IoUringEngine::co_fdatasync(int fd) {
  Operation op(*this, Operation::kFdatasync, fd);
  for (;;) {
    const int err = co_await op;
    if (err == 0) co_return Result<>();
    if (err != -EINTR && err != -EAGAIN) co_return fail_errno(-err, "Cannot flush");
    co_await loop_.co_yield_now();
  }
}

}  // namespace rhea
