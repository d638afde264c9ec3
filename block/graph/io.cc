#include "block/graph/io.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "block/graph/aligned_buffer.h"

namespace rhea {

namespace {

uint64_t align_down(uint64_t v, uint64_t a) {
  return v & ~(a - 1);
}
uint64_t align_up(uint64_t v, uint64_t a) {
  return (v + a - 1) & ~(a - 1);
}
bool is_aligned(ByteRange r, uint64_t a) {
  return ((r.offset | r.bytes) & (a - 1)) == 0;
}

Result<> check_range(const BlockDriverState& bs, ByteRange r) {
  if (r.offset > kMaxNodeBytes || r.bytes > kMaxNodeBytes - r.offset)
    return fail(EIO, "Node '", bs.name(), "': ", r.bytes, " bytes at ", r.offset, " are out of range");
  return {};
}

Result<> check_writable(BlockDriverState& bs, ByteRange r, bool may_grow) {
  if (bs.read_only()) return fail(EPERM, "Node '", bs.name(), "' is read only");
  TRY(check_range(bs, r));
  if (r.end() > bs.total_bytes() && !(may_grow && bs.grows_by_writing()))
    return fail(EIO, "Node '", bs.name(), "': ", r.bytes, " bytes at ", r.offset, " end past ",
                bs.total_bytes());
  bs.set_written();
  return {};
}

/// Tells the node that a write has ended, however it ends.
class WriteEnd {
 public:
  WriteEnd(BlockDriverState& bs, ByteRange r) : bs_(bs), range_(r) {}
  WriteEnd(const WriteEnd&) = delete;
  ~WriteEnd() { bs_.write_ended(range_); }

 private:
  BlockDriverState& bs_;
  ByteRange range_;
};

/// True if the driver can take the request as it is.
bool fits_driver(const BlockDriverState& bs, ByteRange r, const IoVector& iov) {
  const BlockLimits& l = bs.limits();
  return is_aligned(r, l.request_alignment) && (l.max_transfer == 0 || r.bytes <= l.max_transfer) &&
         (l.memory_alignment <= 1 || iov.is_aligned(l.memory_alignment));
}

/// Bytes of one request in a loop over `left`, no more than `max` (0: no limit), a multiple of `align`.
uint64_t chunk(uint64_t left, uint64_t max, uint64_t align) {
  return max == 0 ? left : std::min(left, std::max(align_down(max, align), align));
}

constexpr uint64_t kMaxBounceBytes = 1u << 20;

/// Reads an aligned range inside the node into memory of any alignment, in pieces the driver can take.
CoResult<> co_read_pieces(BlockDriverState& bs, ByteRange r, IoVector iov) {
  const BlockLimits& l = bs.limits();
  const bool bounce = !iov.is_aligned(l.memory_alignment);
  const uint64_t limit =
      bounce ? std::min(kMaxBounceBytes, l.max_transfer ? l.max_transfer : kMaxBounceBytes) : l.max_transfer;
  AlignedBuffer buffer;
  if (bounce) co_await or_return(buffer.allocate(l.memory_alignment, std::min(limit, r.bytes)));
  for (uint64_t done = 0; done < r.bytes;) {
    const uint64_t n = chunk(r.bytes - done, limit, l.request_alignment);
    const ByteRange part{r.offset + done, n};
    const IoVector target = iov.slice(done, n);
    co_await or_return(co_await bs.co_preadv(part, bounce ? buffer.iov(n) : target));
    if (bounce) target.copy_from(buffer.data());
    done += n;
  }
  co_return Result<>();
}

CoResult<> co_write_pieces(BlockDriverState& bs, ByteRange r, IoVector iov) {
  const BlockLimits& l = bs.limits();
  const bool bounce = !iov.is_aligned(l.memory_alignment);
  const uint64_t limit =
      bounce ? std::min(kMaxBounceBytes, l.max_transfer ? l.max_transfer : kMaxBounceBytes) : l.max_transfer;
  AlignedBuffer buffer;
  if (bounce) co_await or_return(buffer.allocate(l.memory_alignment, std::min(limit, r.bytes)));
  for (uint64_t done = 0; done < r.bytes;) {
    const uint64_t n = chunk(r.bytes - done, limit, l.request_alignment);
    const ByteRange part{r.offset + done, n};
    const IoVector source = iov.slice(done, n);
    if (bounce) source.copy_to(buffer.data());
    co_await or_return(co_await bs.co_pwritev(part, bounce ? buffer.iov(n) : source));
    done += n;
  }
  co_return Result<>();
}

/// A read that the driver cannot take as it is: past the end, unaligned, or too large.
CoResult<> co_read_general(BlockDriverState& bs, ByteRange r, IoVector iov) {
  co_await or_return(check_range(bs, r));
  const uint64_t end = bs.total_bytes();
  if (r.end() > end) {
    const uint64_t inside = r.offset < end ? end - r.offset : 0;
    iov.slice(inside).zero();
    r.bytes = inside;
    iov = iov.slice(0, inside);
  }
  if (r.bytes == 0) co_return Result<>();
  const uint64_t align = bs.limits().request_alignment;
  if (is_aligned(r, align)) co_return co_await co_read_pieces(bs, r, iov);

  // The first and last unit in full go through a buffer; so does what lies between, in bounded steps.
  AlignedBuffer buffer;
  const uint64_t first = align_down(r.offset, align), last = align_up(r.end(), align);
  const uint64_t step = std::max<uint64_t>(align, align_down(kMaxBounceBytes, align));
  co_await or_return(
      buffer.allocate(std::max<uint64_t>(bs.limits().memory_alignment, 16), std::min(step, last - first)));
  for (uint64_t at = first; at < last;) {
    const uint64_t n = std::min(step, last - at);
    const ByteRange part{at, n};
    co_await or_return(co_await co_read_pieces(bs, part, buffer.iov(n)));
    const uint64_t from = std::max(at, r.offset), to = std::min(at + n, r.end());
    iov.slice(from - r.offset, to - from).copy_from(buffer.data() + (from - at));
    at += n;
  }
  co_return Result<>();
}

/// What tests wait for while part of a unit is written: before and after the unit was read.
CoResult<> co_tell_partial(BlockDriverState& bs, ByteRange r, bool after) {
  const uint64_t align = bs.limits().request_alignment;
  if (r.offset % align != 0)
    co_await or_return(co_await bs.co_debug_event(after ? "pwritev_rmw_after_head" : "pwritev_rmw_head"));
  if (r.end() % align != 0)
    co_await or_return(co_await bs.co_debug_event(after ? "pwritev_rmw_after_tail" : "pwritev_rmw_tail"));
  co_return Result<>();
}

/// Writes part of a unit: reads it, changes it, writes it back. The caller holds the unit exclusively.
CoResult<> co_write_partial(BlockDriverState& bs, ByteRange r, IoVector iov) {
  const uint64_t align = bs.limits().request_alignment;
  const ByteRange unit{align_down(r.offset, align), align};
  AlignedBuffer buffer;
  co_await or_return(buffer.allocate(std::max<uint64_t>(bs.limits().memory_alignment, 16), align));
  if (bs.hears_debug_events()) co_await or_return(co_await co_tell_partial(bs, r, false));
  co_await or_return(co_await co_read_general(bs, unit, buffer.iov(align)));
  if (bs.hears_debug_events()) co_await or_return(co_await co_tell_partial(bs, r, true));
  iov.copy_to(buffer.data() + (r.offset - unit.offset));
  co_return co_await co_write_pieces(bs, unit, buffer.iov(align));
}

CoResult<> co_write_general(BlockDriverState& bs, ByteRange r, IoVector iov, bool may_grow = false) {
  co_await or_return(check_writable(bs, r, may_grow));
  if (r.bytes == 0) co_return Result<>();
  bs.raise_highest_write_end(r.end());
  if (bs.hears_debug_events()) co_await or_return(co_await bs.co_debug_event("pwritev"));
  const uint64_t align = bs.limits().request_alignment;
  const WriteEnd end(bs, r);
  if (align == 1 && !bs.copies_on_read()) {
    co_await or_return(co_await co_write_pieces(bs, r, iov));
    bs.raise_length(r.end());
    co_return Result<>();
  }

  const bool partial = !is_aligned(r, align);
  const ByteRange units{align_down(r.offset, align), align_up(r.end(), align) - align_down(r.offset, align)};
  RangeLock::Guard guard = co_await or_return(co_await bs.write_ranges().co_acquire(units, partial));
  uint64_t done = 0;
  if (const uint64_t skew = r.offset & (align - 1); skew != 0) {
    done = std::min(align - skew, r.bytes);
    const ByteRange head{r.offset, done};
    co_await or_return(co_await co_write_partial(bs, head, iov.slice(0, done)));
  }
  if (const uint64_t middle = align_down(r.bytes - done, align); middle != 0) {
    const ByteRange body{r.offset + done, middle};
    co_await or_return(co_await co_write_pieces(bs, body, iov.slice(done, middle)));
    done += middle;
  }
  if (done < r.bytes) {
    const ByteRange tail{r.offset + done, r.bytes - done};
    co_await or_return(co_await co_write_partial(bs, tail, iov.slice(done)));
  }
  bs.raise_length(r.end());
  co_return Result<>();
}

bool is_zero(const IoVector& iov) {
  bool zero = true;
  iov.for_each([&](const void* data, size_t n) {
    const auto* p = static_cast<const char*>(data);
    zero = zero && (n == 0 || (p[0] == 0 && std::memcmp(p, p + 1, n - 1) == 0));
  });
  return zero;
}

CoResult<> co_write_real_zeroes(BlockDriverState& bs, ByteRange r, bool may_grow) {
  AlignedBuffer buffer;
  const uint64_t step = std::min<uint64_t>(r.bytes, kMaxBounceBytes);
  co_await or_return(buffer.allocate(std::max<uint64_t>(bs.limits().memory_alignment, 16), step));
  std::memset(buffer.data(), 0, step);
  for (uint64_t done = 0; done < r.bytes;) {
    const uint64_t n = std::min(step, r.bytes - done);
    const ByteRange part{r.offset + done, n};
    co_await or_return(co_await co_write_general(bs, part, buffer.iov(n), may_grow));
    done += n;
  }
  co_return Result<>();
}

/// What is no whole unit of the driver's.
CoResult<> co_zero_part(BlockDriverState& bs, ByteRange r, bool may_grow) {
  const bool aligned = (r.offset | r.bytes) % std::max(bs.limits().request_alignment, 1u) == 0;
  if (aligned && co_await or_return(co_await bs.co_pwrite_zeroes_part(r))) co_return Result<>();
  co_return co_await co_write_real_zeroes(bs, r, may_grow);
}

}  // namespace

namespace {
constexpr uint64_t kCopyOnReadStep = 1u << 20;

/// Reads whole units that the backing file has, and keeps them.
CoResult<> co_read_and_keep(BlockDriverState& bs, ByteRange units, ByteRange wanted, IoVector iov) {
  RangeLock::Guard guard = co_await or_return(co_await bs.write_ranges().co_acquire(units, true));
  AlignedBuffer buffer;
  co_await or_return(buffer.allocate(std::max<uint64_t>(bs.limits().memory_alignment, 16), units.bytes));
  const IoVector whole = buffer.iov(units.bytes);
  co_await or_return(co_await co_read_general(bs, units, whole));
  iov.copy_from(buffer.data() + (wanted.offset - units.offset));
  // Somebody may have written here before the lock was held: only what is still the backing file's is kept.
  for (uint64_t done = 0; done < units.bytes;) {
    const ByteRange rest{units.offset + done, units.bytes - done};
    const BlockStatus s = co_await or_return(co_await bs.co_block_status(rest));
    const uint64_t n = std::clamp<uint64_t>(s.bytes, 1, rest.bytes);
    if (!s.allocated) {
      const ByteRange part{rest.offset, n};
      Result<> kept = fail(ENOTSUP, "");
      if (is_zero(whole.slice(done, n))) kept = co_await bs.co_pwrite_zeroes(part, false);
      if (!kept && kept.error().errnum() == ENOTSUP)
        kept = co_await co_write_pieces(bs, part, whole.slice(done, n));
      co_await or_return(std::move(kept));
      bs.set_written();
    }
    done += n;
  }
  co_return Result<>();
}
}  // namespace

CoResult<> co_node_copy_on_read(BlockDriverState& bs, ByteRange range, IoVector iov) {
  co_await or_return(check_range(bs, range));
  const uint64_t end = bs.total_bytes();
  if (range.end() > end) {
    const uint64_t inside = range.offset < end ? end - range.offset : 0;
    iov.slice(inside).zero();
    range.bytes = inside;
  }
  const uint64_t unit = std::max(bs.limits().request_alignment, bs.limits().pwrite_zeroes_alignment);
  for (uint64_t done = 0; done < range.bytes;) {
    const uint64_t at = range.offset + done;
    ByteRange part{at, std::min(range.bytes - done, kCopyOnReadStep)};
    const BlockStatus s = co_await or_return(co_await bs.co_block_status(part));
    part.bytes = std::clamp<uint64_t>(s.bytes, 1, part.bytes);
    const IoVector target = iov.slice(done, part.bytes);
    if (s.allocated || !bs.backing()) {
      co_await or_return(co_await co_read_general(bs, part, target));
    } else {
      const uint64_t first = align_down(at, unit);
      const ByteRange units{first, std::min(align_up(part.end(), unit), end) - first};
      co_await or_return(co_await co_read_and_keep(bs, units, part, target));
    }
    done += part.bytes;
  }
  co_return Result<>();
}

CoResult<> co_node_preadv(BlockDriverState& bs, ByteRange range, IoVector iov) {
  if (bs.flags().copy_on_read) [[unlikely]]
    return co_node_copy_on_read(bs, range, iov);
  if (range.bytes <= kMaxNodeBytes && range.offset <= bs.total_bytes() &&
      range.bytes <= bs.total_bytes() - range.offset && fits_driver(bs, range, iov)) [[likely]]
    return bs.co_preadv(range, iov);
  return co_read_general(bs, range, iov);
}

CoResult<> co_node_pwritev(BlockDriverState& bs, ByteRange range, IoVector iov, bool may_grow) {
  const DetectZeroes detect = bs.flags().detect_zeroes;
  if (detect != DetectZeroes::kOff && is_zero(iov))
    return co_node_pwrite_zeroes(bs, range, detect == DetectZeroes::kUnmap, may_grow);
  return co_write_general(bs, range, iov, may_grow);
}

CoResult<> co_node_pwrite_compressed(BlockDriverState& bs, ByteRange range, IoVector iov) {
  co_await or_return(check_writable(bs, range, false));
  const WriteEnd end(bs, range);
  bs.raise_highest_write_end(range.end());
  co_return co_await bs.co_pwrite_compressed(range, iov);
}

CoResult<> co_node_pwrite_zeroes(BlockDriverState& bs, ByteRange range, bool may_unmap, bool may_grow) {
  co_await or_return(check_writable(bs, range, may_grow));
  const WriteEnd end(bs, range);
  if (range.bytes != 0) bs.raise_highest_write_end(range.end());
  if (!bs.flags().unmap) may_unmap = false;
  std::optional<RangeLock::Guard> guard;
  const BlockLimits& l = bs.limits();
  const uint64_t align = std::max(l.request_alignment, l.pwrite_zeroes_alignment);
  const uint64_t first = std::min(align_up(range.offset, align), range.end());
  const uint64_t last = std::max(align_down(range.end(), align), first);
  const ByteRange head{range.offset, first - range.offset}, tail{last, range.end() - last};
  if (head.bytes != 0) co_await or_return(co_await co_zero_part(bs, head, may_grow));
  for (uint64_t at = first; at < last;) {
    const ByteRange part{at, chunk(last - at, l.max_pwrite_zeroes, align)};
    if (bs.copies_on_read())
      guard.emplace(co_await or_return(co_await bs.write_ranges().co_acquire(part, false)));
    Result<> r = co_await bs.co_pwrite_zeroes(part, may_unmap);
    guard.reset();
    if (!r && (r.error().errnum() == ENOTSUP || r.error().errnum() == EOPNOTSUPP))
      r = co_await co_write_real_zeroes(bs, part, may_grow);
    co_await or_return(std::move(r));
    at += part.bytes;
  }
  if (tail.bytes != 0) co_await or_return(co_await co_zero_part(bs, tail, may_grow));
  bs.raise_length(range.end());
  co_return Result<>();
}

CoResult<> co_node_pdiscard(BlockDriverState& bs, ByteRange range) {
  co_await or_return(check_writable(bs, range, false));
  if (!bs.flags().unmap) co_return Result<>();
  const WriteEnd end(bs, range);
  const BlockLimits& l = bs.limits();
  const uint64_t first = align_up(range.offset, l.request_alignment);
  const uint64_t last = align_down(range.end(), l.request_alignment);
  for (uint64_t at = first; at < last;) {
    const ByteRange part{at, chunk(last - at, l.max_pdiscard, l.request_alignment)};
    Result<> r = co_await bs.co_pdiscard(part);
    if (!r && r.error().errnum() != ENOTSUP && r.error().errnum() != EOPNOTSUPP) co_return r;
    at += part.bytes;
  }
  co_return Result<>();
}

CoResult<> co_node_flush(BlockDriverState& bs) {
  if (bs.read_only() || (bs.flags().no_flush && bs.driver().is_protocol)) co_return Result<>();
  if (bs.file() && bs.file().node().hears_debug_events()) {
    BlockDriverState& file = bs.file().node();
    co_await or_return(co_await file.co_debug_event("flush_to_os"));
    co_await or_return(co_await file.co_debug_event("flush_to_disk"));
  }
  co_return co_await bs.co_flush();
}

CoResult<BlockStatus> co_node_block_status(BlockDriverState& bs, ByteRange range) {
  const uint64_t end = bs.total_bytes();
  if (range.offset >= end || range.bytes == 0) co_return BlockStatus{.bytes = 0, .data = false, .zero = true};
  range.bytes = std::min(range.bytes, end - range.offset);
  BlockStatus s = co_await or_return(co_await bs.co_block_status(range));
  s.bytes = std::clamp<uint64_t>(s.bytes, 1, range.bytes);
  // Data that the storage below knows to be a hole.
  if (s.may_be_hole && s.data && !s.zero && s.offset_valid && s.host_node != nullptr && s.host_node != &bs) {
    const ByteRange host(s.host_offset, s.bytes);
    Result<BlockStatus> below = co_await co_node_block_status(*s.host_node, host);
    if (below && below->bytes != 0 && (below->zero || below->bytes < s.bytes)) {
      s.bytes = std::min(s.bytes, below->bytes);
      s.zero = below->zero;
    } else if (below && below->bytes == 0) {  // behind the end of the storage
      s.zero = true;
    }
  }
  co_return s;
}

CoResult<> co_node_truncate(BlockDriverState& bs, uint64_t bytes, Preallocation how) {
  if (bs.read_only()) co_return fail(EACCES, "Image is read-only");
  if (bytes > kMaxNodeBytes)
    co_return fail(EFBIG, "Required size too big, it must be at most ", kMaxNodeBytes);
  co_await or_return(co_await bs.co_truncate(bytes, how));
  co_return co_await bs.co_refresh_length();
}

}  // namespace rhea
