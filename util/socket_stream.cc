#include "util/socket_stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace rhea {

/// Suspends until the socket is ready for one direction.
struct SocketStream::Ready {
  SocketStream& s;
  bool to_write;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    std::coroutine_handle<>& slot = to_write ? s.writer_ : s.reader_;
    assert(!slot);
    slot = h;
    s.watch();
  }
  void await_resume() const noexcept {}
};

SocketStream::SocketStream(AioContext& loop, UniqueFd fd)
    : loop_(loop), fd_(std::move(fd)), buffer_(kBufferBytes) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
  watch_ = loop_.watch_fd(fd_.get(), 0, [this](uint32_t events) { on_events(events); });
}

/// Input stays watched while nobody waits for it: the next reader then costs no system call.
void SocketStream::watch() {
  uint32_t wanted = watch_->events() & EPOLLIN;
  if (reader_) wanted |= EPOLLIN;
  if (writer_) wanted |= EPOLLOUT;
  if (wanted != watch_->events()) watch_->set_events(wanted);
}

void SocketStream::on_events(uint32_t events) {
  const bool ended = (events & (EPOLLHUP | EPOLLERR)) != 0;
  std::coroutine_handle<> reader, writer;
  if (ended || (events & EPOLLIN) != 0) reader = std::exchange(reader_, {});
  if (ended || (events & EPOLLOUT) != 0) writer = std::exchange(writer_, {});
  uint32_t keep = watch_->events();
  if (!writer_) keep &= ~static_cast<uint32_t>(EPOLLOUT);
  if (!reader && !reader_) keep &= ~static_cast<uint32_t>(EPOLLIN);  // nobody wants it now
  if (keep != watch_->events()) watch_->set_events(keep);
  // Whoever goes on last may destroy this.
  if (reader) reader.resume();
  if (writer) writer.resume();
}

CoResult<> SocketStream::co_connected() {
  Ready ready{*this, true};
  co_await ready;
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  if (error != 0) co_return Failure(Error(error, errno_text(error)));
  co_return Result<>();
}

size_t SocketStream::take_buffered(void* data, size_t bytes) {
  const size_t n = std::min(bytes, end_ - begin_);
  if (n != 0) std::memcpy(data, buffer_.data() + begin_, n);
  begin_ += n;
  return n;
}

ssize_t SocketStream::receive(void* data, size_t bytes) {
  for (;;) {
    const bool direct = bytes >= kBufferBytes;
    const ssize_t n = ::recv(fd_.get(), direct ? data : buffer_.data(), direct ? bytes : kBufferBytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || direct) return n;
    begin_ = 0;
    end_ = static_cast<size_t>(n);
    return static_cast<ssize_t>(take_buffered(data, bytes));
  }
}

CoResult<bool> SocketStream::co_read_or_end(void* data, size_t bytes) {
  auto* at = static_cast<uint8_t*>(data);
  size_t done = take_buffered(at, bytes);
  while (done < bytes) {
    const ssize_t n = receive(at + done, bytes - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0) {
      if (done == 0) co_return false;
      co_return fail(ECONNRESET, "Unexpected end-of-file before all data were read");
    } else if (errno == EAGAIN) {
      Ready ready{*this, false};
      co_await ready;
    } else {
      co_return fail_errno(errno, "Unable to read from socket");
    }
  }
  co_return true;
}

CoResult<> SocketStream::co_read(void* data, size_t bytes) {
  const bool there = co_await or_return(co_await co_read_or_end(data, bytes));
  if (!there && bytes != 0) co_return fail(ECONNRESET, "Unexpected end-of-file before all data were read");
  co_return Result<>();
}

CoResult<> SocketStream::co_skip(uint64_t bytes) {
  uint8_t sink[4096];
  while (bytes != 0) {
    const size_t n = std::min<uint64_t>(bytes, sizeof sink);
    co_await or_return(co_await co_read(sink, n));
    bytes -= n;
  }
  co_return Result<>();
}

CoResult<> SocketStream::co_write(std::span<iovec> pieces) {
  constexpr size_t kMostPieces = 1024;
  while (!pieces.empty()) {
    if (pieces[0].iov_len == 0) {
      pieces = pieces.subspan(1);
      continue;
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = std::min(pieces.size(), kMostPieces);
    const ssize_t n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      Ready ready{*this, true};
      co_await ready;
      continue;
    }
    if (n < 0) co_return fail_errno(errno, "Unable to write to socket");
    for (auto left = static_cast<size_t>(n); left != 0;) {
      const size_t take = std::min(left, pieces[0].iov_len);
      pieces[0].iov_base = static_cast<uint8_t*>(pieces[0].iov_base) + take;
      pieces[0].iov_len -= take;
      left -= take;
      if (pieces[0].iov_len == 0) pieces = pieces.subspan(1);
    }
  }
  co_return Result<>();
}

CoResult<> SocketStream::co_write(const void* data, size_t bytes) {
  iovec one{const_cast<void*>(data), bytes};
  const std::span<iovec> pieces(&one, 1);
  co_return co_await co_write(pieces);
}

void SocketStream::shutdown() {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace rhea
