#include "tools/img/copy.h"

#include <algorithm>
#include <cstring>

#include "block/graph/aligned_buffer.h"
#include "block/graph/io.h"
#include "util/log.h"

namespace rhea::img {

namespace {

constexpr uint64_t kCopyStep = 2u << 20;

enum class Kind : uint8_t { kData, kZero, kBacking };

/// One run of the source on its way.
struct Piece {
  uint64_t offset = 0, bytes = 0;
  Kind kind = Kind::kData;
  uint64_t number = 0;
};

class Copier {
 public:
  Copier(std::span<BlockBackend* const> sources, BlockBackend& target, CopyOptions options,
         std::function<void(uint64_t)> progress)
      : target_(target), o_(std::move(options)), progress_(std::move(progress)) {
    uint64_t at = 0;
    for (BlockBackend* s : sources) {
      sources_.push_back({s, at, s->node()->total_bytes()});
      at += sources_.back().bytes;
    }
    all_ = at;
  }
  CoResult<> co_run();
  CoResult<uint64_t> co_count();

 private:
  CoResult<> co_begin();
  bool counts(const Piece& p) const {
    return p.kind == Kind::kData || (p.kind == Kind::kZero && o_.min_sparse_bytes == 0);
  }
  CoResult<> co_worker();
  CoResult<Piece> co_next();
  CoResult<> co_copy_piece(Piece p, AlignedBuffer& buffer);
  CoResult<> co_write(uint64_t offset, uint8_t* data, uint64_t bytes);
  CoResult<> co_write_sparse(uint64_t offset, uint8_t* data, uint64_t bytes);
  CoResult<> co_write_zeroes(uint64_t offset, uint64_t bytes);
  CoResult<> co_read(Piece p, uint8_t* into);
  CoResult<> co_read_raw(ByteRange range, uint8_t* into);
  CoResult<> co_look();

  /// The sources stand one behind the other.
  struct Source {
    BlockBackend* disk;
    uint64_t start, bytes;
  };
  const Source& source_at(uint64_t offset) const {
    size_t i = sources_.size() - 1;
    while (i != 0 && sources_[i].start > offset) --i;
    return sources_[i];
  }
  std::vector<Source> sources_;
  uint64_t all_ = 0;
  uint64_t run_end_ = 0;  ///< what is known of the sources, from next_ on: all of one kind
  Kind run_kind_ = Kind::kData;
  BlockBackend& target_;
  const CopyOptions o_;
  std::function<void(uint64_t)> progress_;
  uint64_t next_ = 0, end_ = 0, number_ = 0, turn_ = 0, done_ = 0;
  uint64_t unit_ = 0;  ///< pieces are multiples of it; compressed clusters must be whole
  CoMutex look_;
  CoQueue turns_;
  std::optional<Error> failed_;
};

bool is_zero(const uint8_t* p, size_t n) {
  return n == 0 || (p[0] == 0 && std::memcmp(p, p + 1, n - 1) == 0);
}

/// What the run at next_ is: asked once, however many pieces it is copied in.
CoResult<> Copier::co_look() {
  const Source& source = source_at(next_);
  BlockDriverState* node = source.disk->node();
  ByteRange range(next_ - source.start, std::min(end_, source.start + source.bytes) - next_);
  run_kind_ = Kind::kData;
  for (bool top = true;; top = false) {
    Result<BlockStatus> s = co_await co_node_block_status(*node, range);
    while (!s && o_.salvage && range.bytes > kSectorBytes) {  // how far is it known?
      const uint64_t quarter = (range.bytes / kSectorBytes + 3) / 4 * kSectorBytes;
      range.bytes = std::max(kSectorBytes, quarter);
      s = co_await co_node_block_status(*node, range);
    }
    if (!s) {
      if (o_.salvage) {  // it may be data
        if (!o_.quiet)
          warn_report(str_cat("error while reading block status at offset ", next_, ": ",
                              errno_text(s.error().errnum())));
        break;
      }
      co_return Failure(
          std::move(s).error().prepend(str_cat("error while reading block status at offset ", next_, ": ")));
    }
    if (s->bytes == 0) {
      run_kind_ = Kind::kZero;
      break;
    }
    range.bytes = s->bytes;
    if (!s->allocated && node->backing()) {
      if (top && o_.target_has_backing) {
        run_kind_ = Kind::kBacking;
        break;
      }
      node = &node->backing().node();
      continue;
    }
    run_kind_ = s->zero ? Kind::kZero : Kind::kData;
    break;
  }
  run_end_ = next_ + range.bytes;
  co_return Result<>();
}

/// The next piece, all of one kind; empty at the end.
CoResult<Piece> Copier::co_next() {
  CoMutex::Guard guard = co_await look_.co_lock();
  if (next_ >= end_ || failed_) co_return Piece{};
  if (next_ >= run_end_) co_await or_return(co_await co_look());
  Piece p{next_, std::min(kCopyStep, std::min(run_end_, end_) - next_), run_kind_, 0};
  // Zero runs may be long; data must not be cut inside a unit.
  if (unit_ > 1 && p.kind == Kind::kData)
    p.bytes = std::min((p.bytes + unit_ - 1) / unit_ * unit_, end_ - p.offset);
  if (unit_ > 1 && p.kind != Kind::kData && p.bytes % unit_ != 0 && p.offset + p.bytes != end_) {
    if (p.bytes < unit_) {
      p.kind = Kind::kData;
      p.bytes = std::min(unit_, end_ - p.offset);
    } else {
      p.bytes = p.bytes / unit_ * unit_;
    }
  }
  p.number = number_++;
  next_ += p.bytes;
  co_return p;
}

/// Across the end of one source into the next.
CoResult<> Copier::co_read_raw(ByteRange range, uint8_t* into) {
  for (uint64_t done = 0; done < range.bytes;) {
    const Source& source = source_at(range.offset + done);
    const uint64_t in_source = range.offset + done - source.start;
    const uint64_t n = std::min(range.bytes - done, source.bytes - in_source);
    const IoVector view(into + done, n);
    co_await or_return(co_await source.disk->co_preadv(ByteRange(in_source, n), view));
    done += n;
  }
  co_return Result<>();
}

CoResult<> Copier::co_read(Piece p, uint8_t* into) {
  Result<> r = co_await co_read_raw(ByteRange(p.offset, p.bytes), into);
  if (r) co_return r;
  if (!o_.salvage)
    co_return fail(r.error().errnum(), "error while reading at byte ", p.offset, ": ",
                   errno_text(r.error().errnum()));
  for (uint64_t done = 0; done < p.bytes; done += kSectorBytes) {  // save what can be
    const uint64_t n = std::min(kSectorBytes, p.bytes - done);
    Result<> one = co_await co_read_raw(ByteRange(p.offset + done, n), into + done);
    if (one) continue;
    std::memset(into + done, 0, n);
    if (!o_.quiet)
      warn_report(
          str_cat("error while reading offset ", p.offset + done, ": ", errno_text(one.error().errnum())));
  }
  co_return Result<>();
}

CoResult<> Copier::co_write_zeroes(uint64_t offset, uint64_t bytes) {
  if (o_.target_is_zero && !o_.target_has_backing) co_return Result<>();
  co_return co_await target_.co_pwrite_zeroes(ByteRange(offset, bytes), true);
}

CoResult<> Copier::co_write(uint64_t offset, uint8_t* data, uint64_t bytes) {
  const IoVector view(data, bytes);
  const ByteRange range(offset, bytes);
  co_return co_await target_.co_pwritev(range, view);
}

/// Leaves out runs of zeroes that are long enough.
CoResult<> Copier::co_write_sparse(uint64_t offset, uint8_t* data, uint64_t bytes) {
  if (o_.compressed && o_.min_sparse_bytes == 0) {
    const IoVector view(data, bytes);
    co_return co_await target_.co_pwrite_compressed(ByteRange(offset, bytes), view);
  }
  // Only whole clusters can be packed, or left out.
  const uint64_t step = o_.compressed ? unit_ : o_.min_sparse_bytes;
  if (step == 0) co_return co_await co_write(offset, data, bytes);
  for (uint64_t done = 0; done < bytes;) {
    // Steps lie at multiples in the target, so that what is left out can become holes.
    auto piece = [&](uint64_t from) { return std::min(step - (offset + from) % step, bytes - from); };
    const bool zero = is_zero(data + done, piece(done));
    uint64_t end = done + piece(done);
    while (end < bytes && is_zero(data + end, piece(end)) == zero) end += piece(end);
    Result<> r;
    if (zero) {
      r = co_await co_write_zeroes(offset + done, end - done);
    } else if (o_.compressed) {
      const IoVector view(data + done, end - done);
      r = co_await target_.co_pwrite_compressed(ByteRange(offset + done, end - done), view);
    } else {
      r = co_await co_write(offset + done, data + done, end - done);
    }
    co_await or_return(std::move(r));
    done = end;
  }
  co_return Result<>();
}

CoResult<> Copier::co_copy_piece(Piece p, AlignedBuffer& buffer) {
  Result<> r;
  if (p.kind == Kind::kData) r = co_await co_read(p, buffer.data());
  if (!o_.out_of_order)
    while (turn_ != p.number && !failed_) co_await turns_.co_wait();
  if (failed_) co_return Result<>();
  const uint64_t offset = p.offset - o_.skip;
  if (r && p.kind == Kind::kData) r = co_await co_write_sparse(offset, buffer.data(), p.bytes);
  if (r && p.kind == Kind::kZero) {
    if (o_.min_sparse_bytes == 0) {  // zeroes take room like anything else
      std::memset(buffer.data(), 0, p.bytes);
      r = co_await co_write_sparse(offset, buffer.data(), p.bytes);
    } else {
      r = co_await co_write_zeroes(offset, p.bytes);
    }
  }
  if (!r && !r.error().message().starts_with("error while"))
    r = fail(r.error().errnum(), "error while writing at byte ", offset, ": ",
             errno_text(r.error().errnum()));
  co_return r;
}

CoResult<> Copier::co_worker() {
  AlignedBuffer buffer;
  co_await or_return(buffer.allocate(4096, std::max(kCopyStep, unit_)));
  for (;;) {
    Result<Piece> p = co_await co_next();
    if (!p && !failed_) failed_ = p.error();
    if (!p || p->bytes == 0) break;
    Result<> r = co_await co_copy_piece(*p, buffer);
    if (!r && !failed_) failed_ = r.error();
    turn_ = std::max(turn_, p->number + 1);
    turns_.wake_all();
    if (counts(*p)) {
      done_ += p->bytes;
      progress_(done_);
    }
    if (o_.bytes_per_second != 0)
      co_await AioContext::current()->co_sleep(
          realtime_clock(), static_cast<int64_t>(static_cast<double>(p->bytes) * 1e9 /
                                                 static_cast<double>(o_.bytes_per_second)));
  }
  turns_.wake_all();
  co_return Result<>();
}

CoResult<> Copier::co_begin() {
  next_ = std::min(o_.skip, all_);
  end_ = o_.length < all_ - next_ ? next_ + o_.length : all_;
  unit_ = 1;
  if (o_.compressed) unit_ = (co_await or_return(co_await target_.node()->co_details())).cluster_bytes;
  co_return Result<>();
}

CoResult<uint64_t> Copier::co_count() {
  co_await or_return(co_await co_begin());
  uint64_t bytes = 0;
  for (;;) {
    const Piece p = co_await or_return(co_await co_next());
    if (p.bytes == 0) co_return bytes;
    if (counts(p)) bytes += p.bytes;
  }
}

CoResult<> Copier::co_run() {
  co_await or_return(co_await co_begin());
  Gate gate;
  for (int i = 0; i < o_.workers; ++i) {
    gate.spawn<void>(co_worker(), [this](Result<> r) {
      if (!r && !failed_) failed_ = r.error();
    });
  }
  co_await or_return(co_await gate.co_close());
  if (failed_) co_return Failure(*failed_);
  co_return Result<>();
}

}  // namespace

CoResult<uint64_t> co_count_data(std::span<BlockBackend* const> sources, BlockBackend& target,
                                 CopyOptions options) {
  Copier copier(sources, target, std::move(options), [](uint64_t) {});
  co_return co_await copier.co_count();
}

CoResult<> co_copy(std::span<BlockBackend* const> sources, BlockBackend& target, CopyOptions options,
                   std::function<void(uint64_t)> progress) {
  Copier copier(sources, target, std::move(options), std::move(progress));
  co_return co_await copier.co_run();
}

}  // namespace rhea::img
