#include "block/drivers/nbd/link.h"

#include <algorithm>

#include "block/export/nbd_protocol.h"
#include "util/byteorder.h"

namespace rhea {

using namespace nbd;

CoResult<> NbdLink::co_request(NbdRequest& r) {
  auto free = slots_.end();
  while (!ended_ && (free = std::ranges::find(slots_, nullptr)) == slots_.end()) co_await room_.co_wait();
  if (ended_) {
    r.lost = true;
    co_return Result<>();
  }
  *free = &r;
  const auto slot = static_cast<size_t>(free - slots_.begin());
  const uint64_t handle = uint64_t{++turns_[slot]} << 32 | slot;
  Result<> sent = co_await co_send(r, handle);
  if (!sent) shutdown();  // the receiver then loses all requests
  if (!r.done) {
    struct Wait {
      NbdRequest& r;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) { r.waiter = h; }
      void await_resume() const noexcept {}
    };
    Wait wait{r};
    co_await wait;
  }
  co_return Result<>();
}

CoResult<> NbdLink::co_send(const NbdRequest& r, uint64_t handle) {
  uint8_t head[28];
  store_be(head, kRequestMagic);
  store_be(head + 4, r.flags);
  store_be(head + 6, r.type);
  store_be(head + 8, handle);
  store_be(head + 16, r.range.offset);
  store_be(head + 24, static_cast<uint32_t>(r.range.bytes));
  constexpr size_t kPieces = 32;
  std::array<iovec, 1 + kPieces> pieces;
  pieces[0] = {head, sizeof head};
  const CoMutex::Guard guard = co_await sending_.co_lock();
  const size_t payload = r.type == cmd::kWrite ? r.iov.size() : 0;
  for (size_t done = 0, count = 1;; count = 0) {
    size_t covered = 0;
    if (done < payload) count += r.iov.slice(done).fill(&pieces[count], kPieces, &covered);
    const std::span<iovec> now(pieces.data(), count);
    co_await or_return(co_await stream_->co_write(now));
    done += covered;
    if (done >= payload) co_return Result<>();
  }
}

NbdRequest* NbdLink::find(uint64_t handle) {
  const auto slot = static_cast<size_t>(handle & UINT32_MAX);
  return slot < kMaxRequests && turns_[slot] == handle >> 32 ? slots_[slot] : nullptr;
}

void NbdLink::finish(NbdRequest& r) {
  std::ranges::replace(slots_, &r, static_cast<NbdRequest*>(nullptr));
  r.done = true;
  room_.wake_one();
  if (r.waiter) std::exchange(r.waiter, {}).resume();  // `r` may be gone then
}

void NbdLink::end() {
  ended_ = true;
  stream_->shutdown();
  for (NbdRequest* r : std::exchange(slots_, {})) {
    if (r == nullptr) continue;
    r->lost = true;
    r->done = true;
    if (r->waiter) stream_->loop().schedule(std::exchange(r->waiter, {}));
  }
  room_.wake_all();
}

CoResult<> NbdLink::co_receive() {
  Result<> r;
  while (r) r = co_await co_receive_one();
  end();
  co_return r;
}

CoResult<> NbdLink::co_disconnect() {
  if (!ended_) {
    NbdRequest bye(cmd::kDisconnect, 0, ByteRange{});
    std::ignore = co_await co_send(bye, 0);  // there is no answer, and it need not arrive
  }
  shutdown();
  co_return Result<>();
}

CoResult<> NbdLink::co_receive_one() {
  uint8_t raw[20];
  co_await or_return(co_await stream_->co_read(raw, 16));
  const auto magic = load_be<uint32_t>(raw);
  NbdRequest* r = find(load_be<uint64_t>(raw + 8));
  if (r == nullptr) co_return fail(EPROTO, "Unexpected reply");
  if (magic == kSimpleReplyMagic) {
    const bool read = r->type == cmd::kRead;
    r->errnum = from_wire_errno(load_be<uint32_t>(raw + 4));
    if (r->errnum == 0 && info_.structured && (read || r->type == cmd::kBlockStatus))
      co_return fail(EPROTO, "Protocol error: simple reply when structured reply chunk was expected");
    if (r->errnum == 0 && read) co_await or_return(co_await co_data(*r, r->range.offset, r->range.bytes));
    finish(*r);
    co_return Result<>();
  }
  if (magic != kStructuredReplyMagic || !info_.structured)
    co_return fail(EPROTO, "invalid magic (got 0x", hex(magic), ")");
  co_await or_return(co_await stream_->co_read(raw + 16, 4));
  Chunk chunk;
  chunk.request = r;
  chunk.flags = load_be<uint16_t>(raw + 4);
  chunk.type = load_be<uint16_t>(raw + 6);
  chunk.bytes = load_be<uint32_t>(raw + 16);
  co_return co_await co_chunk(chunk);
}

CoResult<> NbdLink::co_chunk(Chunk c) {
  NbdRequest& r = *c.request;
  const bool read = r.type == cmd::kRead;
  if (c.type == chunk::kNone) {
    if (c.bytes != 0 || (c.flags & chunk::kDone) == 0)
      co_return fail(EPROTO,
                     "Protocol error: NBD_REPLY_TYPE_NONE chunk without NBD_REPLY_FLAG_DONE flag set");
  } else if (c.type == chunk::kOffsetData && read) {
    if (c.bytes <= 8)
      co_return fail(EPROTO, "Protocol error: invalid payload for NBD_REPLY_TYPE_OFFSET_DATA");
    uint8_t raw[8];
    co_await or_return(co_await stream_->co_read(raw, sizeof raw));
    co_await or_return(co_await co_data(r, load_be<uint64_t>(raw), c.bytes - 8));
  } else if (c.type == chunk::kOffsetHole && read) {
    co_await or_return(co_await co_hole(r, c.bytes));
  } else if (c.type == chunk::kBlockStatus && r.type == cmd::kBlockStatus) {
    co_await or_return(co_await co_status(r, c.bytes));
  } else if ((c.type & chunk::kErrorBit) != 0) {
    co_await or_return(co_await co_error(r, c.type, c.bytes));
  } else {
    co_return fail(EPROTO, "Unexpected reply type ", c.type, " for request ", command_name(r.type));
  }
  if ((c.flags & chunk::kDone) != 0) finish(r);
  co_return Result<>();
}

CoResult<> NbdLink::co_data(NbdRequest& r, uint64_t at, uint64_t bytes) {
  if (at < r.range.offset || at > r.range.end() || bytes > r.range.end() - at)
    co_return fail(EPROTO, "Protocol error: server sent chunk exceeding requested region");
  IoVector left = r.iov.slice(at - r.range.offset, bytes);
  while (!left.empty()) {
    iovec piece;
    size_t covered = 0;
    left.fill(&piece, 1, &covered);
    co_await or_return(co_await stream_->co_read(piece.iov_base, piece.iov_len));
    left = left.slice(covered);
  }
  r.received += bytes;
  co_return Result<>();
}

CoResult<> NbdLink::co_hole(NbdRequest& r, uint32_t bytes) {
  uint8_t raw[12];
  if (bytes != sizeof raw)
    co_return fail(EPROTO, "Protocol error: invalid payload for NBD_REPLY_TYPE_OFFSET_HOLE");
  co_await or_return(co_await stream_->co_read(raw, sizeof raw));
  const auto at = load_be<uint64_t>(raw);
  const auto hole = load_be<uint32_t>(raw + 8);
  if (hole == 0 || at < r.range.offset || at > r.range.end() || hole > r.range.end() - at)
    co_return fail(EPROTO, "Protocol error: server sent chunk exceeding requested region");
  r.iov.slice(at - r.range.offset, hole).zero();
  r.received += hole;
  co_return Result<>();
}

/// The first extent counts; what follows may be there or not.
CoResult<> NbdLink::co_status(NbdRequest& r, uint32_t bytes) {
  uint8_t raw[12];
  if (bytes < sizeof raw || r.status_bytes != 0)
    co_return fail(EPROTO, "Protocol error: invalid payload for NBD_REPLY_TYPE_BLOCK_STATUS");
  co_await or_return(co_await stream_->co_read(raw, sizeof raw));
  if (const auto id = load_be<uint32_t>(raw); id != info_.context)
    co_return fail(EPROTO, "Protocol error: unexpected context id ", id, " for NBD_REPLY_TYPE_BLOCK_STATUS");
  r.status_bytes = load_be<uint32_t>(raw + 4);
  r.status_flags = load_be<uint32_t>(raw + 8);
  if (r.status_bytes == 0)
    co_return fail(EPROTO, "Protocol error: server sent status chunk with zero length");
  co_return co_await stream_->co_skip(bytes - sizeof raw);
}

CoResult<> NbdLink::co_error(NbdRequest& r, uint16_t type, uint32_t bytes) {
  uint8_t raw[6];
  constexpr uint32_t kMaxChunk = 1u << 20;
  if (bytes < sizeof raw || bytes > kMaxChunk)
    co_return fail(EPROTO, "Protocol error: invalid payload for structured error");
  co_await or_return(co_await stream_->co_read(raw, sizeof raw));
  const auto error = load_be<uint32_t>(raw);
  const auto text_bytes = load_be<uint16_t>(raw + 4);
  if (error == 0 || text_bytes > bytes - sizeof raw)
    co_return fail(EPROTO, "Protocol error: server sent structured error chunk with incorrect message size");
  std::string text(std::min<uint32_t>(text_bytes, kMaxString), 0);
  co_await or_return(co_await stream_->co_read(text.data(), text.size()));
  co_await or_return(co_await stream_->co_skip(bytes - sizeof raw - text.size()));
  // The first error counts. Kinds that are not known mean an error all the same.
  if (r.errnum == 0) {
    r.errnum = type == chunk::kError || type == chunk::kErrorOffset ? from_wire_errno(error) : EINVAL;
    r.message = std::move(text);
  }
  co_return Result<>();
}

}  // namespace rhea
