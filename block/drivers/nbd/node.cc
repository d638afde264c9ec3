// nbd: a disk that an NBD server keeps.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "block/drivers/drivers.h"
#include "block/drivers/nbd/connect.h"
#include "block/drivers/nbd/link.h"
#include "block/drivers/nbd/options.h"
#include "block/export/nbd_protocol.h"
#include "util/log.h"
#include "util/thread_pool.h"

namespace rhea {

using namespace nbd;

CoResult<std::unique_ptr<SocketStream>> co_nbd_connect(AioContext& loop, SocketEndpoint address) {
  bool pending = false;
  auto begin = [&] { return socket_begin_connect(address, &pending); };
  UniqueFd fd = co_await or_return(co_await thread_pool().co_run(begin));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on,
             sizeof on);  // fails on other sockets, where it means nothing
  auto stream = std::make_unique<SocketStream>(loop, std::move(fd));
  if (!pending) co_return std::move(stream);
  Result<> connected = co_await stream->co_connected();
  if (connected) co_return std::move(stream);
  const std::string place =
      address.kind == SocketEndpoint::Kind::kUnix ? address.path : str_cat(address.host, ":", address.port);
  co_return Failure(std::move(connected).error().prepend(str_cat("Failed to connect to '", place, "': ")));
}

namespace {

constexpr int64_t kNsPerS = 1'000'000'000;

/// Requests may come from any loop; the connection's home is the main loop.
class NbdNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override;
  CoResult<> co_close() override;
  void refresh_limits(BlockLimits& limits) const override;
  std::string exact_filename() const override { return nbd_filename(options_.address, options_.export_name); }

  CoResult<> co_preadv(ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override;
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override;
  bool zeroes_fast(ByteRange) const override { return (info_.flags & flag::kSendFastZero) != 0; }
  CoResult<> co_pdiscard(ByteRange range) override;
  CoResult<> co_flush() override;
  CoResult<BlockStatus> co_block_status(ByteRange range) override;
  CoResult<uint64_t> co_getlength() override { co_return info_.bytes; }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override;

 private:
  CoResult<std::shared_ptr<NbdLink>> co_connect();
  Result<> check_access();
  CoResult<> co_receive(std::shared_ptr<NbdLink> link);
  CoResult<> co_reconnect();
  Result<> check_same(const NbdExportInfo& now) const;
  CoResult<std::shared_ptr<NbdLink>> co_usable_link();
  /// Runs a request to its end, over a new connection if that is allowed.
  CoResult<> co_request(NbdRequest& request);
  CoResult<> co_simple(uint16_t type, uint16_t flags, ByteRange range);
  /// What of `range` the server has: its size need not be whole sectors.
  ByteRange inside(ByteRange range) const {
    if (range.offset >= info_.bytes) return {range.offset, 0};
    return {range.offset, std::min(range.bytes, info_.bytes - range.offset)};
  }
  AioContext& home() const { return graph().main_loop(); }

  NbdOptions options_;
  NbdExportInfo info_;
  std::shared_ptr<NbdLink> link_;
  SocketStream* connecting_ = nullptr;  ///< of an attempt under way, to be ended by closing
  int64_t wait_until_ns_ = 0;           ///< requests wait for a new connection until then
  bool closing_ = false;
  CoQueue changed_;  ///< the connection came back, or there is no more waiting
  CoQueue retry_;
  Gate gate_;
};

CoResult<std::shared_ptr<NbdLink>> NbdNode::co_connect() {
  std::unique_ptr<SocketStream> stream =
      co_await or_return(co_await co_nbd_connect(home(), options_.address));
  if (closing_) co_return fail(ESHUTDOWN, "The node is being closed");
  connecting_ = stream.get();
  NbdWish wish(options_.export_name, options_.context);
  Result<NbdExportInfo> info = co_await co_nbd_choose(*stream, std::move(wish));
  connecting_ = nullptr;
  NbdExportInfo chosen = co_await or_return(std::move(info));
  co_return std::make_shared<NbdLink>(std::move(stream), std::move(chosen));
}

CoResult<> NbdNode::co_open(OpenContext& ctx) {
  options_ = co_await or_return(NbdOptions::take(ctx.options));
  const int64_t until = realtime_clock().now_ns() + static_cast<int64_t>(options_.open_timeout_s) * kNsPerS;
  for (;;) {
    Result<std::shared_ptr<NbdLink>> link = co_await co_connect();
    if (link) {
      link_ = std::move(*link);
      break;
    }
    constexpr int64_t kPauseNs = kNsPerS / 10;
    if (realtime_clock().now_ns() + kPauseNs >= until) co_return Failure(link.error());
    co_await home().co_sleep(realtime_clock(), kPauseNs);
  }
  info_ = link_->info();
  gate_.spawn<void>(co_receive(link_));
  Result<> good = check_access();
  if (!good) std::ignore = co_await co_close();
  co_return good;
}

Result<> NbdNode::check_access() {
  if (info_.bytes > kMaxNodeBytes) return fail(EFBIG, "NBD export is too large");
  const bool custom = options_.context != "base:allocation";
  if (custom && !info_.has_context) return fail_errno(EINVAL, "Could not open image");
  if (flags_.read_only || (info_.flags & flag::kReadOnly) == 0) return {};
  if (!flags_.auto_read_only) return fail_errno(EACCES, "Could not open image");
  flags_.read_only = true;
  return {};
}

CoResult<> NbdNode::co_close() {
  closing_ = true;
  if (link_) std::ignore = co_await link_->co_disconnect();
  if (connecting_ != nullptr) connecting_->shutdown();
  retry_.wake_all();
  changed_.wake_all();
  co_await or_return(co_await gate_.co_close());
  link_.reset();
  co_return Result<>();
}

/// Lives as long as a connection; begins the next one at its end.
CoResult<> NbdNode::co_receive(std::shared_ptr<NbdLink> link) {
  std::ignore = co_await link->co_receive();
  if (closing_) co_return Result<>();
  link_.reset();
  wait_until_ns_ = realtime_clock().now_ns() + static_cast<int64_t>(options_.reconnect_delay_s) * kNsPerS;
  gate_.spawn<void>(co_reconnect());
  co_return Result<>();
}

Result<> NbdNode::check_same(const NbdExportInfo& now) const {
  if (now.bytes != info_.bytes) return fail(EINVAL, "The export has another size now");
  if ((now.flags & flag::kReadOnly) != 0 && !flags_.read_only)
    return fail(EACCES, "The export is read-only now");
  if (now.min_block > limits().request_alignment) return fail(EINVAL, "The export has larger blocks now");
  return {};
}

CoResult<> NbdNode::co_reconnect() {
  constexpr int64_t kLongestPauseNs = 16 * kNsPerS;
  for (int64_t pause_ns = kNsPerS; !closing_; pause_ns = std::min(pause_ns * 2, kLongestPauseNs)) {
    Result<std::shared_ptr<NbdLink>> link = co_await co_connect();
    if (closing_) break;
    if (link && check_same((*link)->info())) {
      link_ = std::move(*link);
      gate_.spawn<void>(co_receive(link_));
      changed_.wake_all();
      break;
    }
    // Those who have waited long enough are told in time.
    const int64_t now = realtime_clock().now_ns();
    if (now < wait_until_ns_)
      pause_ns = std::min(pause_ns, wait_until_ns_ - now);
    else
      changed_.wake_all();
    Timer timer(home(), realtime_clock(), [this] { retry_.wake_all(); });
    timer.arm_in(pause_ns);
    co_await retry_.co_wait();
    if (realtime_clock().now_ns() >= wait_until_ns_) changed_.wake_all();
  }
  co_return Result<>();
}

CoResult<std::shared_ptr<NbdLink>> NbdNode::co_usable_link() {
  for (;;) {
    if (link_ && !link_->ended()) co_return link_;
    // A link that just ended is about to be replaced.
    const bool dying = link_ != nullptr;
    if (closing_ || (!dying && realtime_clock().now_ns() >= wait_until_ns_))
      co_return fail(EIO, "The connection to the NBD server is lost");
    if (dying)
      co_await home().co_yield_now();
    else
      co_await changed_.co_wait();
  }
}

CoResult<> NbdNode::co_request(NbdRequest& r) {
  AioContext* const from = AioContext::current();
  co_await home().co_switch();
  Result<> result;
  for (;;) {
    Result<std::shared_ptr<NbdLink>> link = co_await co_usable_link();
    if (!link) {
      result = Failure(link.error());
      break;
    }
    r.lost = r.done = false;
    r.received = 0;
    result = co_await (*link)->co_request(r);
    if (!r.lost) break;
    if (options_.reconnect_delay_s == 0) {
      result = fail(EIO, "The connection to the NBD server is lost");
      break;
    }
  }
  if (result && r.errnum != 0)
    result = fail_errno(r.errnum, "NBD server: ", r.message.empty() ? "request failed" : r.message);
  if (result && r.type == cmd::kRead && r.received != r.range.bytes)
    result = fail(EIO, "The NBD server sent ", r.received, " of ", r.range.bytes, " bytes");
  if (from != nullptr) co_await from->co_switch();
  co_return result;
}

void NbdNode::refresh_limits(BlockLimits& limits) const {
  limits.request_alignment = info_.min_block != 0 ? info_.min_block : static_cast<uint32_t>(kSectorBytes);
  const uint32_t most = info_.max_block != 0 ? std::min(info_.max_block, kMaxPayload) : kMaxPayload;
  limits.max_transfer = most;
  limits.max_pdiscard = limits.max_pwrite_zeroes =
      INT32_MAX / limits.request_alignment * limits.request_alignment;
}

CoResult<> NbdNode::co_preadv(ByteRange range, IoVector iov) {
  const ByteRange there = inside(range);
  iov.slice(there.bytes).zero();
  if (there.bytes == 0) co_return Result<>();
  NbdRequest r(cmd::kRead, 0, there, iov.slice(0, there.bytes));
  co_return co_await co_request(r);
}

CoResult<> NbdNode::co_pwritev(ByteRange range, IoVector iov) {
  if (range.bytes == 0) co_return Result<>();
  NbdRequest r(cmd::kWrite, 0, range, iov);
  co_return co_await co_request(r);
}

CoResult<> NbdNode::co_simple(uint16_t type, uint16_t flags, ByteRange range) {
  NbdRequest r(type, flags, range);
  co_return co_await co_request(r);
}

CoResult<> NbdNode::co_pwrite_zeroes(ByteRange range, bool may_unmap) {
  if ((info_.flags & flag::kSendWriteZeroes) == 0) co_return fail(ENOTSUP, "The NBD server writes no zeroes");
  range = inside(range);
  if (range.bytes == 0) co_return Result<>();
  co_return co_await co_simple(cmd::kWriteZeroes, may_unmap ? 0 : cmd::kFlagNoHole, range);
}

CoResult<> NbdNode::co_pdiscard(ByteRange range) {
  if ((info_.flags & flag::kSendTrim) == 0) co_return fail(ENOTSUP, "The NBD server does not discard");
  range = inside(range);
  if (range.bytes == 0) co_return Result<>();
  co_return co_await co_simple(cmd::kTrim, 0, range);
}

CoResult<> NbdNode::co_flush() {
  if ((info_.flags & flag::kSendFlush) == 0) co_return Result<>();
  const ByteRange nothing;
  co_return co_await co_simple(cmd::kFlush, 0, nothing);
}

CoResult<BlockStatus> NbdNode::co_block_status(ByteRange range) {
  BlockStatus s{.bytes = range.bytes, .offset_valid = true, .host_offset = range.offset};
  ByteRange there = inside(range);
  if (there.bytes == 0) {
    s.data = false;
    s.zero = true;
    co_return s;
  }
  if (!info_.has_context) co_return s;
  const uint64_t most = UINT32_MAX / limits().request_alignment * limits().request_alignment;
  there.bytes = std::min(there.bytes, most);
  NbdRequest r(cmd::kBlockStatus, cmd::kFlagReqOne, there);
  co_await or_return(co_await co_request(r));
  if (r.status_bytes == 0) co_return fail(EIO, "The NBD server did not reply with any status extents");
  s.bytes = std::min<uint64_t>(r.status_bytes, there.bytes);
  if (there.offset + s.bytes == info_.bytes) s.bytes = std::min(range.bytes, s.bytes + kSectorBytes - 1);
  if (options_.context == "qemu:allocation-depth" && r.status_flags > 2) r.status_flags = 2;
  s.data = (r.status_flags & kStateHole) == 0;
  s.zero = (r.status_flags & kStateZero) != 0;
  co_return s;
}

CoResult<> NbdNode::co_truncate(uint64_t bytes, Preallocation) {
  if (bytes > info_.bytes) co_return fail(EINVAL, "Cannot grow NBD nodes");
  if (bytes != info_.bytes) co_return fail(ENOTSUP, "Cannot resize NBD nodes");
  co_return Result<>();
}

}  // namespace

const BlockDriver kNbdDriver = {
    .name = "nbd",
    .is_protocol = true,
    .protocol_name = "nbd",
    .other_protocol_names = {"nbd+tcp", "nbd+unix"},
    .parse_filename = parse_nbd_filename,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<NbdNode>(); },
};

}  // namespace rhea
