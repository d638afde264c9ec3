#include "block/jobs/mirror_top.h"

#include "block/graph/io.h"

namespace rhea {

PermPair MirrorTop::child_perms(const BlockEdge& child, PermPair cumulative) const {
  using namespace blk_perm;
  if ((child.role & child_role::kFiltered) == 0) return {kWrite, kAll};  // the target
  PermPair p = cumulative;
  if (commit_) {
    p.perm &= ~kConsistentRead;
    p.shared |= kWrite | kConsistentRead;
  }
  return p;
}

void MirrorTop::start_write_blocking(std::shared_ptr<DirtyBitmap> dirty, std::function<void(int)> failed) {
  dirty_ = std::move(dirty);
  failed_ = std::move(failed);
  dirty_->set_enabled(false);  // it is kept here
}

const BdrvChild* MirrorTop::target() const {
  for (const BdrvChild& c : other_children_)
    if (c.name() == "target") return &c;
  return nullptr;
}

/// The units of the bitmap that a write touches.
ByteRange MirrorTop::units(ByteRange range) const {
  const uint64_t g = dirty_->granularity();
  const uint64_t first = range.offset / g * g, last = (range.end() + g - 1) / g * g;
  return {first, last - first};
}

/// Source and target are the same where both were written; where one failed nobody knows.
void MirrorTop::settle(ByteRange range, const Result<>& source, const Result<>& target) {
  if (!source || !target) {
    dirty_->set(range);
    if (source && failed_) failed_(target.error().errnum());
    return;
  }
  const uint64_t g = dirty_->granularity();
  const uint64_t first = (range.offset + g - 1) / g * g;
  const uint64_t last = range.end() >= total_bytes() ? range.end() : range.end() / g * g;
  if (first < last) dirty_->clear({first, last - first});  // units written in part stay as they are
}

CoResult<> MirrorTop::co_pwritev(ByteRange range, IoVector iov) {
  if (dirty_ == nullptr || target() == nullptr) co_return co_await backing_.co_pwritev(range, iov);
  const RangeLock::Guard guard = co_await or_return(co_await copying_.co_acquire(units(range), true));
  Result<> done = co_await backing_.co_pwritev(range, iov);
  Result<> copied;
  if (done) copied = co_await target()->co_pwritev(range, iov);
  settle(range, done, copied);
  co_return done;
}

CoResult<> MirrorTop::co_pwrite_zeroes(ByteRange range, bool may_unmap) {
  if (dirty_ == nullptr || target() == nullptr)
    co_return co_await backing_.co_pwrite_zeroes(range, may_unmap);
  const RangeLock::Guard guard = co_await or_return(co_await copying_.co_acquire(units(range), true));
  Result<> done = co_await backing_.co_pwrite_zeroes(range, may_unmap);
  Result<> copied;
  if (done) copied = co_await target()->co_pwrite_zeroes(range, may_unmap);
  settle(range, done, copied);
  co_return done;
}

/// What reads afterwards is the driver's choice: it is copied again.
CoResult<> MirrorTop::co_pdiscard(ByteRange range) {
  Result<> done = co_await backing_.co_pdiscard(range);
  if (dirty_ != nullptr) dirty_->set(range);
  co_return done;
}

const BlockDriver kMirrorTopDriver = {
    .name = "mirror_top",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<MirrorTop>(); },
};

}  // namespace rhea
