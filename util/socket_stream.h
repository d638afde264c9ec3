// SocketStream: a connected stream socket whose reader and writer are coroutines.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <vector>

#include "util/aio_context.h"
#include "util/coroutine.h"
#include "util/unique_fd.h"

namespace rhea {

/// One coroutine reads and one writes at a time; both on the loop's thread, and both have ended before it is
/// destroyed (shutdown() sees to that soon). Input goes through a buffer, so that several small messages
/// cost one system call.
class SocketStream {
 public:
  /// `fd`: connected, or connecting (co_connected() tells the end); becomes non-blocking.
  SocketStream(AioContext& loop, UniqueFd fd);
  SocketStream(const SocketStream&) = delete;

  /// Waits for a connection under way; its errno as an Error.
  CoResult<> co_connected();
  /// Reads exactly `bytes`. False: the peer had closed before the first. ECONNRESET: in the middle.
  CoResult<bool> co_read_or_end(void* data, size_t bytes);
  /// The same where the end is an error: "Unexpected end-of-file before all data were read".
  CoResult<> co_read(void* data, size_t bytes);
  /// Reads and forgets.
  CoResult<> co_skip(uint64_t bytes);
  /// Writes all of it; changes the array.
  CoResult<> co_write(std::span<iovec> pieces);
  CoResult<> co_write(const void* data, size_t bytes);
  /// Ends both directions: who waits goes on with an error. Whoever waits does so from the loop, not from
  /// here.
  void shutdown();
  int fd() const { return fd_.get(); }
  AioContext& loop() const { return loop_; }

 private:
  struct Ready;
  size_t take_buffered(void* data, size_t bytes);
  /// What recv(2) gives at once into the buffer or `data`; -1 with EAGAIN.
  ssize_t receive(void* data, size_t bytes);
  void watch();
  void on_events(uint32_t events);

  static constexpr size_t kBufferBytes = 32 << 10;
  AioContext& loop_;
  UniqueFd fd_;
  std::unique_ptr<FdWatch> watch_;
  std::coroutine_handle<> reader_, writer_;
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace rhea
