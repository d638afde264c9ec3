// NbdLink: one connection to an NBD server after its handshake, with requests under way.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "block/drivers/nbd/handshake.h"
#include "block/graph/types.h"
#include "util/co_sync.h"
#include "util/iov.h"
#include "util/socket_stream.h"

namespace rhea {

/// A request and, at the end, its answer. Lives in the frame of whoever awaits it.
struct NbdRequest {
  NbdRequest(uint16_t t, uint16_t f, ByteRange r, IoVector v = {}) : type(t), flags(f), range(r), iov(v) {}
  uint16_t type, flags;
  ByteRange range;
  IoVector iov;  ///< what is written, or where reads go
  // The answer.
  int errnum = 0;
  std::string message;    ///< the server's, if it had one
  uint64_t received = 0;  ///< bytes of a read
  uint32_t status_bytes = 0, status_flags = 0;
  bool lost = false;  ///< the connection ended first
  // Between.
  bool done = false;
  std::coroutine_handle<> waiter;
};

/// Everything that comes from the server is checked against what was asked for; a server that breaks the
/// rules is disconnected. Home: one loop.
class NbdLink {
 public:
  static constexpr size_t kMaxRequests = 64;  ///< in flight

  NbdLink(std::unique_ptr<SocketStream> stream, NbdExportInfo info)
      : stream_(std::move(stream)), info_(std::move(info)) {}
  NbdLink(const NbdLink&) = delete;
  const NbdExportInfo& info() const { return info_; }
  bool ended() const { return ended_; }
  /// Sends it and waits for its answer, or for the connection's end.
  CoResult<> co_request(NbdRequest& request);
  /// Receives answers until the connection ends; then all requests under way are lost. Runs once, beside
  /// requests.
  CoResult<> co_receive();
  /// Tells the server that nothing follows, and ends the connection.
  CoResult<> co_disconnect();
  void shutdown() { stream_->shutdown(); }

 private:
  struct Chunk {
    NbdRequest* request = nullptr;
    uint16_t flags = 0, type = 0;
    uint32_t bytes = 0;
  };
  CoResult<> co_send(const NbdRequest& request, uint64_t handle);
  CoResult<> co_receive_one();
  CoResult<> co_chunk(Chunk chunk);
  CoResult<> co_data(NbdRequest& request, uint64_t at, uint64_t bytes);
  CoResult<> co_hole(NbdRequest& request, uint32_t bytes);
  CoResult<> co_status(NbdRequest& request, uint32_t bytes);
  CoResult<> co_error(NbdRequest& request, uint16_t type, uint32_t bytes);
  NbdRequest* find(uint64_t handle);
  void finish(NbdRequest& request);
  void end();

  std::unique_ptr<SocketStream> stream_;
  NbdExportInfo info_;
  bool ended_ = false;
  CoMutex sending_;
  std::array<NbdRequest*, kMaxRequests> slots_{};
  std::array<uint32_t, kMaxRequests> turns_{};  ///< how often a slot was used: part of its handle
  CoQueue room_;
};

}  // namespace rhea
