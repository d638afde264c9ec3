// NbdConnection: one client, from its handshake to its last request.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/export/nbd_server.h"
#include "block/graph/aligned_buffer.h"
#include "util/socket_stream.h"

namespace rhea {

/// Everything a client sends is hostile: lengths are bounded before memory is taken, the handshake has a time
/// limit, and so many requests and bytes are in flight at most. Main loop.
class NbdConnection {
 public:
  static constexpr int kMaxRequests = 16;                   ///< in flight; more wait in the socket
  static constexpr uint64_t kMaxBytesInFlight = 64u << 20;  ///< of their buffers
  static constexpr uint32_t kMaxOptionBytes = 64u << 10;    ///< of an option's data
  static constexpr int64_t kHandshakeNs = 10'000'000'000;   ///< until an export is chosen
  static constexpr size_t kMaxExtents = (1u << 20) / 8;     ///< in one answer about block status

  NbdConnection(NbdServer& server, AioContext& loop, UniqueFd fd)
      : server_(server), stream_(loop, std::move(fd)) {}
  /// Serves until the client leaves, breaks the rules, or shutdown() is called.
  CoResult<> co_run();
  void shutdown() { stream_.shutdown(); }
  const NbdExport* exported() const { return export_.get(); }

 private:
  struct OptionHead {
    uint32_t option = 0, bytes = 0;
  };
  struct Request {
    uint16_t flags = 0, type = 0;
    uint64_t handle = 0;
    ByteRange range;
    AlignedBuffer buffer;
  };

  // The handshake (nbd_handshake.cc). True: an export is chosen.
  CoResult<bool> co_handshake();
  CoResult<bool> co_option(OptionHead head);
  CoResult<bool> co_export_name(const std::string& name);
  CoResult<bool> co_info_or_go(uint32_t option, std::string data);
  CoResult<> co_list(uint32_t option, const std::string& data);
  CoResult<> co_meta_context(uint32_t option, std::string data);
  CoResult<> co_reply(uint32_t option, uint32_t type, std::string data = {});
  CoResult<> co_refuse(uint32_t option, uint32_t type, std::string message);
  void choose(std::shared_ptr<NbdExport> exported);
  uint16_t transmission_flags(const NbdExport& exported) const;

  // Requests (nbd_requests.cc).
  CoResult<> co_transmit();
  CoResult<std::shared_ptr<Request>> co_next_request(bool* more);
  Result<> check(const Request& request) const;
  CoResult<> co_handle(std::shared_ptr<Request> request);
  CoResult<> co_read(Request& request);
  CoResult<> co_read_structured(Request& request);
  CoResult<> co_cache(Request& request);
  CoResult<> co_change(Request& request);
  CoResult<> co_zeroes(Request& request);
  CoResult<> co_block_status(Request& request);
  CoResult<> co_answer(const Request& request, const Result<>& result);
  CoResult<> co_send_chunk(const Request& request, uint16_t flags, uint16_t type, IoVector head,
                           IoVector data);
  CoResult<> co_send_simple(const Request& request, int errnum, IoVector data);

  NbdServer& server_;
  SocketStream stream_;
  std::shared_ptr<NbdExport> export_;
  bool fixed_newstyle_ = false, no_zeroes_ = false;
  bool structured_ = false;
  std::string context_export_;  ///< the name the contexts were chosen for
  bool contexts_chosen_ = false;
  uint32_t contexts_ = 0;  ///< bits of nbd_context
  CoMutex sending_;
  Gate gate_;
  int in_flight_ = 0;
  uint64_t bytes_in_flight_ = 0;
  CoQueue room_;
};

}  // namespace rhea
