#include "block/aio/threads_engine.h"

#include <unistd.h>

#include "util/thread_pool.h"

namespace rhea {

namespace {

/// The whole transfer, on a pool thread. Zero, or an errno.
int read_all(int fd, ByteRange range, const IoVector& iov) {
  IovecBatch batch;
  for (size_t done = 0; done < range.bytes;) {
    batch.fill(iov, done);
    const ssize_t n =
        ::preadv(fd, batch.pieces, static_cast<int>(batch.count), static_cast<off_t>(range.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) {
      iov.slice(done).zero();
      break;
    }
    done += static_cast<size_t>(n);
  }
  return 0;
}

int write_all(int fd, ByteRange range, const IoVector& iov) {
  IovecBatch batch;
  for (size_t done = 0; done < range.bytes;) {
    batch.fill(iov, done);
    const ssize_t n =
        ::pwritev(fd, batch.pieces, static_cast<int>(batch.count), static_cast<off_t>(range.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    done += static_cast<size_t>(n);
  }
  return 0;
}

}  // namespace

CoResult<> ThreadsEngine::co_preadv(int fd, ByteRange range, IoVector iov) {
  auto work = [&] { return read_all(fd, range, iov); };
  const int err = co_await thread_pool().co_run(work);
  if (err != 0) co_return fail_errno(err, "Cannot read ", range.bytes, " bytes at ", range.offset);
  co_return Result<>();
}

CoResult<> ThreadsEngine::co_pwritev(int fd, ByteRange range, IoVector iov) {
  auto work = [&] { return write_all(fd, range, iov); };
  const int err = co_await thread_pool().co_run(work);
  if (err != 0) co_return fail_errno(err, "Cannot write ", range.bytes, " bytes at ", range.offset);
  co_return Result<>();
}

CoResult<> ThreadsEngine::co_fdatasync(int fd) {
  auto work = [&] { return ::fdatasync(fd) == 0 ? 0 : errno; };
  const int err = co_await thread_pool().co_run(work);
  if (err != 0) co_return fail_errno(err, "Cannot flush");
  co_return Result<>();
}

}  // namespace rhea
