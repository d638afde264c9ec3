// The transmission phase: requests come in order, are worked on at the same time, and are answered as they
// end.
#include <algorithm>
#include <array>
#include <bit>

#include "block/export/nbd_connection.h"
#include "util/byteorder.h"

namespace rhea {

using namespace nbd;

namespace {
bool nbd_carries_data(uint16_t type) {
  return type == cmd::kRead || type == cmd::kWrite || type == cmd::kCache;
}
}  // namespace

CoResult<> NbdConnection::co_transmit() {
  for (;;) {
    while (in_flight_ >= kMaxRequests || (in_flight_ != 0 && bytes_in_flight_ >= kMaxBytesInFlight))
      co_await room_.co_wait();
    bool more = true;
    std::shared_ptr<Request> request = co_await or_return(co_await co_next_request(&more));
    if (!more) co_return Result<>();
    if (!request) continue;  // answered with an error
    ++in_flight_;
    if (nbd_carries_data(request->type)) bytes_in_flight_ += request->range.bytes;
    gate_.spawn<void>(co_handle(std::move(request)));
  }
}

/// The next request with its data; null if it was refused.
CoResult<std::shared_ptr<NbdConnection::Request>> NbdConnection::co_next_request(bool* more) {
  uint8_t raw[28];
  *more = co_await or_return(co_await stream_.co_read_or_end(raw, sizeof raw));
  if (!*more) co_return std::shared_ptr<Request>();
  if (const auto magic = load_be<uint32_t>(raw); magic != kRequestMagic)
    co_return fail(EPROTO, "invalid magic (got 0x", hex(magic), ")");
  auto r = std::make_shared<Request>();
  r->flags = load_be<uint16_t>(raw + 4);
  r->type = load_be<uint16_t>(raw + 6);
  r->handle = load_be<uint64_t>(raw + 8);
  r->range = ByteRange{load_be<uint64_t>(raw + 16), load_be<uint32_t>(raw + 24)};
  if (r->type == cmd::kDisconnect) {
    *more = false;
    co_return std::shared_ptr<Request>();
  }
  Result<> good;
  if (nbd_carries_data(r->type) && r->range.bytes > kMaxPayload) {
    good = fail(EINVAL, "len (", r->range.bytes, ") is larger than max len (", kMaxPayload, ")");
    // What follows such a write is not taken in, so nothing behind it can be understood.
    if (r->type == cmd::kWrite) co_return Failure(good.error());
  }
  if (good && nbd_carries_data(r->type) && r->type != cmd::kCache) {
    const uint32_t align = std::max(export_->backend().node()->limits().memory_alignment, 512u);
    good = r->buffer.allocate(align, r->range.bytes);
    if (r->type == cmd::kWrite) {
      if (good)
        co_await or_return(co_await stream_.co_read(r->buffer.data(), r->range.bytes));
      else
        co_await or_return(co_await stream_.co_skip(r->range.bytes));
    }
  }
  if (good) good = check(*r);
  if (good) co_return std::move(r);
  co_await or_return(co_await co_answer(*r, good));
  co_return std::shared_ptr<Request>();
}

Result<> NbdConnection::check(const Request& r) const {
  const bool changes = r.type == cmd::kWrite || r.type == cmd::kTrim || r.type == cmd::kWriteZeroes;
  if (changes && !export_->config().writable) return fail(EROFS, "Export is read-only");
  const uint64_t size = export_->bytes();
  if (r.type != cmd::kFlush && (r.range.offset > size || r.range.bytes > size - r.range.offset))
    return fail(r.type == cmd::kWrite || r.type == cmd::kWriteZeroes ? ENOSPC : EINVAL,
                "operation past EOF; From: ", r.range.offset, ", Len: ", r.range.bytes, ", Size: ", size);
  uint16_t valid = cmd::kFlagFua;
  if (r.type == cmd::kRead && structured_) valid |= cmd::kFlagDf;
  if (r.type == cmd::kWriteZeroes) valid |= cmd::kFlagNoHole | cmd::kFlagFastZero;
  if (r.type == cmd::kBlockStatus) valid |= cmd::kFlagReqOne;
  if ((r.flags & ~valid) != 0)
    return fail(EINVAL, "unsupported flags for command ", command_name(r.type), " (got 0x", hex(r.flags),
                ")");
  return {};
}

CoResult<> NbdConnection::co_handle(std::shared_ptr<Request> r) {
  Result<> sent;
  switch (r->type) {
    case cmd::kRead:
      sent = co_await co_read(*r);
      break;
    case cmd::kCache:
      sent = co_await co_cache(*r);
      break;
    case cmd::kWrite:
    case cmd::kFlush:
    case cmd::kTrim:
    case cmd::kWriteZeroes: {
      Result<> done = co_await co_change(*r);
      sent = co_await co_answer(*r, done);
      break;
    }
    case cmd::kBlockStatus:
      sent = co_await co_block_status(*r);
      break;
    default: {
      const Result<> unknown = fail(EINVAL, "invalid request type (", r->type, ") received");
      sent = co_await co_answer(*r, unknown);
    }
  }
  if (!sent) shutdown();  // it cannot be told anything more
  if (nbd_carries_data(r->type)) bytes_in_flight_ -= r->range.bytes;
  r.reset();
  --in_flight_;
  room_.wake_all();
  co_return Result<>();
}

CoResult<> NbdConnection::co_change(Request& r) {
  BlockBackend& disk = export_->backend();
  Result<> done;
  if (r.type == cmd::kWrite)
    done = co_await disk.co_pwritev(r.range, r.buffer.iov(r.range.bytes));
  else if (r.type == cmd::kTrim)
    done = co_await disk.co_pdiscard(r.range);
  else if (r.type == cmd::kWriteZeroes)
    done = co_await co_zeroes(r);
  const bool durable = r.type == cmd::kFlush || (r.flags & cmd::kFlagFua) != 0;
  if (done && durable) done = co_await disk.co_flush();
  if (done) co_return done;
  static constexpr std::string_view kTexts[] = {
      "", "writing to file failed", "", "flush failed", "discard failed", "", "writing to file failed"};
  co_return Failure(Error(done.error().errnum(), std::string(kTexts[r.type])));
}

/// A client that asks for speed gets an error at once where zeroes would have to be written.
CoResult<> NbdConnection::co_zeroes(Request& r) {
  BlockBackend& disk = export_->backend();
  if ((r.flags & cmd::kFlagFastZero) != 0 && (disk.node() == nullptr || !disk.node()->zeroes_fast(r.range)))
    co_return fail(ENOTSUP, "Zeroes are not faster than data here");
  co_return co_await disk.co_pwrite_zeroes(r.range, (r.flags & cmd::kFlagNoHole) == 0);
}

CoResult<> NbdConnection::co_read(Request& r) {
  BlockBackend& disk = export_->backend();
  if ((r.flags & cmd::kFlagFua) != 0) {
    const Result<> flushed = co_await disk.co_flush();
    if (!flushed) {
      const Result<> error = fail(flushed.error().errnum(), "flush failed");
      co_return co_await co_answer(r, error);
    }
  }
  // Asking where the holes are costs about as much as reading a few pages.
  constexpr uint64_t kWorthAsking = 64 << 10;
  if (structured_ && (r.flags & cmd::kFlagDf) == 0 && r.range.bytes >= kWorthAsking)
    co_return co_await co_read_structured(r);
  const IoVector data = r.buffer.iov(r.range.bytes);
  Result<> read = co_await disk.co_preadv(r.range, data);
  if (!read) {
    const Result<> error = fail(read.error().errnum(), "reading from file failed");
    co_return co_await co_answer(r, error);
  }
  if (!structured_) co_return co_await co_send_simple(r, 0, data);
  if (r.range.bytes == 0)
    co_return co_await co_send_chunk(r, chunk::kDone, chunk::kNone, IoVector(), IoVector());
  uint8_t head[8];
  store_be(head, r.range.offset);
  co_return co_await co_send_chunk(r, chunk::kDone, chunk::kOffsetData, IoVector(head, sizeof head), data);
}

/// Holes are named, the rest is sent.
CoResult<> NbdConnection::co_read_structured(Request& r) {
  BlockBackend& disk = export_->backend();
  for (uint64_t done = 0; done < r.range.bytes;) {
    ByteRange part{r.range.offset + done, r.range.bytes - done};
    Result<std::vector<NbdExtent>> extents =
        co_await co_nbd_extents(*export_, nbd_context::kBaseAllocation, part, 1);
    const bool hole = extents && !extents->empty() && (extents->front().flags & kStateZero) != 0;
    if (extents && !extents->empty()) part.bytes = extents->front().bytes;
    const bool last = done + part.bytes == r.range.bytes;
    uint8_t head[12];
    store_be(head, part.offset);
    if (hole) {
      store_be(head + 8, static_cast<uint32_t>(part.bytes));
      co_await or_return(co_await co_send_chunk(r, last ? chunk::kDone : 0, chunk::kOffsetHole,
                                                IoVector(head, sizeof head), IoVector()));
    } else {
      const IoVector data(r.buffer.data() + done, part.bytes);
      Result<> read = co_await disk.co_preadv(part, data);
      if (!read) {
        const Result<> error = fail(read.error().errnum(), "reading from file failed");
        co_return co_await co_answer(r, error);
      }
      co_await or_return(
          co_await co_send_chunk(r, last ? chunk::kDone : 0, chunk::kOffsetData, IoVector(head, 8), data));
    }
    done += part.bytes;
  }
  co_return Result<>();
}

/// Reads and forgets: what lies below now has it near.
CoResult<> NbdConnection::co_cache(Request& r) {
  constexpr uint64_t kStep = 1u << 20;
  AlignedBuffer buffer;
  Result<> done = buffer.allocate(4096, std::min(kStep, r.range.bytes));
  for (uint64_t at = 0; done && at < r.range.bytes;) {
    const ByteRange part{r.range.offset + at, std::min(kStep, r.range.bytes - at)};
    done = co_await export_->backend().co_preadv(part, buffer.iov(part.bytes));
    at += part.bytes;
  }
  if (!done) done = fail(done.error().errnum(), "caching data failed");
  co_return co_await co_answer(r, done);
}

CoResult<> NbdConnection::co_block_status(Request& r) {
  if (r.range.bytes == 0 || contexts_ == 0) {
    const Result<> error = r.range.bytes == 0 ? Result<>(fail(EINVAL, "need non-zero length"))
                                              : Result<>(fail(EINVAL, "CMD_BLOCK_STATUS not negotiated"));
    co_return co_await co_answer(r, error);
  }
  const size_t most = (r.flags & cmd::kFlagReqOne) != 0 ? 1 : kMaxExtents;
  const uint32_t last = 31u - static_cast<uint32_t>(std::countl_zero(contexts_));
  for (uint32_t context = 0; context <= last; ++context) {
    if ((contexts_ & (1u << context)) == 0) continue;
    Result<std::vector<NbdExtent>> extents = co_await co_nbd_extents(*export_, context, r.range, most);
    if (!extents) {
      const Result<> error = fail(extents.error().errnum(), "can't get block status");
      co_return co_await co_answer(r, error);
    }
    std::vector<uint8_t> data(extents->size() * sizeof(NbdExtent));
    for (size_t i = 0; i < extents->size(); ++i) {
      store_be(&data[i * 8], (*extents)[i].bytes);
      store_be(&data[i * 8 + 4], (*extents)[i].flags);
    }
    uint8_t head[4];
    store_be(head, context);
    co_await or_return(co_await co_send_chunk(r, context == last ? chunk::kDone : 0, chunk::kBlockStatus,
                                              IoVector(head, sizeof head),
                                              IoVector(data.data(), data.size())));
  }
  co_return Result<>();
}

/// The end of a request that has no data.
CoResult<> NbdConnection::co_answer(const Request& r, const Result<>& result) {
  const bool needs_chunk = structured_ && (!result || r.type == cmd::kRead || r.type == cmd::kBlockStatus);
  if (!needs_chunk) co_return co_await co_send_simple(r, result ? 0 : result.error().errnum(), IoVector());
  if (result) co_return co_await co_send_chunk(r, chunk::kDone, chunk::kNone, IoVector(), IoVector());
  std::string text = result.error().message().substr(0, kMaxString);
  uint8_t head[6];
  store_be(head, to_wire_errno(result.error().errnum()));
  store_be(head + 4, static_cast<uint16_t>(text.size()));
  co_return co_await co_send_chunk(r, chunk::kDone, chunk::kError, IoVector(head, sizeof head),
                                   IoVector(text.data(), text.size()));
}

CoResult<> NbdConnection::co_send_simple(const Request& r, int errnum, IoVector data) {
  uint8_t head[16];
  store_be(head, kSimpleReplyMagic);
  store_be(head + 4, to_wire_errno(errnum));
  store_be(head + 8, r.handle);
  std::array<iovec, 2> pieces = {{{head, sizeof head}}};
  size_t covered = 0;
  data.fill(&pieces[1], 1, &covered);
  const CoMutex::Guard guard = co_await sending_.co_lock();
  co_return co_await stream_.co_write(pieces);
}

CoResult<> NbdConnection::co_send_chunk(const Request& r, uint16_t flags, uint16_t type, IoVector head,
                                        IoVector data) {
  uint8_t start[20];
  store_be(start, kStructuredReplyMagic);
  store_be(start + 4, flags);
  store_be(start + 6, type);
  store_be(start + 8, r.handle);
  store_be(start + 16, static_cast<uint32_t>(head.size() + data.size()));
  std::array<iovec, 3> pieces = {{{start, sizeof start}}};
  size_t covered = 0;
  head.fill(&pieces[1], 1, &covered);
  data.fill(&pieces[2], 1, &covered);
  const CoMutex::Guard guard = co_await sending_.co_lock();
  co_return co_await stream_.co_write(pieces);
}

}  // namespace rhea
