// copy-on-read: shows its child unchanged; what a backing file gave is in the child from then on.
#include "block/drivers/drivers.h"
#include "block/graph/io.h"

namespace rhea {

namespace {

class CopyOnReadNode final : public BlockDriverState {
 public:
  uint32_t file_role(const OptionTree&) const override {
    return child_role::kFiltered | child_role::kPrimary;
  }
  CoResult<> co_open(OpenContext& ctx) override {
    if (const auto bottom = co_await or_return(ctx.options.take_string("bottom"))) {
      const BlockDriverState* node = graph().find_node(*bottom);
      if (node == nullptr) co_return fail(EINVAL, "Bottom node '", *bottom, "' not found");
      if (node->driver().is_filter) co_return fail(EINVAL, "Bottom node '", *bottom, "' is a filter");
      // Held as a child would be, it could not be taken out of the chain.
      bottom_ = *bottom;
    }
    file_.node().add_copy_on_read(1);
    counted_ = true;
    co_return Result<>();
  }
  ~CopyOnReadNode() override {
    if (counted_ && file_) file_.node().add_copy_on_read(-1);
  }
  PermPair child_perms(const BlockEdge&, PermPair cumulative) const override {
    using namespace blk_perm;
    constexpr uint32_t kPassed = kConsistentRead | kWrite | kResize;
    PermPair p{cumulative.perm & kPassed, (cumulative.shared & kPassed) | kWriteUnchanged};
    if (!read_only()) p.perm |= kWriteUnchanged;
    return p;
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    if (bottom_.empty()) return co_node_copy_on_read(file_.node(), range, iov);
    return co_read_above_bottom(range, iov);
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override { return file_.co_pwritev(range, iov); }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    return file_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override { return file_.co_pdiscard(range); }
  CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov) override {
    return co_node_pwrite_compressed(file_.node(), range, iov);
  }
  CoResult<BlockStatus> co_block_status(ByteRange range) override { return file_.co_block_status(range); }
  CoResult<uint64_t> co_getlength() override { co_return file_.node().total_bytes(); }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override {
    co_await or_return(co_await file_.node().co_truncate(bytes, how));
    co_return co_await file_.node().co_refresh_length();
  }

 private:
  /// Whether an image between the child and the bottom, bottom included, has the run's start; `range` becomes
  /// as long as that is so.
  CoResult<bool> co_is_above_bottom(ByteRange& range) {
    BlockDriverState* at = &file_.node();
    for (bool top = true;; top = false) {
      const BlockStatus s = co_await or_return(co_await co_node_block_status(*at, range));
      if (s.bytes == 0) co_return false;
      range.bytes = std::min(range.bytes, s.bytes);
      if (s.allocated) co_return !top;  // what the child has need not be copied
      if (at->name() == bottom_ || !at->backing()) co_return false;
      at = &at->backing().node();
    }
  }
  CoResult<> co_read_above_bottom(ByteRange range, IoVector iov) {
    for (uint64_t done = 0; done < range.bytes;) {
      ByteRange part{range.offset + done, range.bytes - done};
      const bool copy = co_await or_return(co_await co_is_above_bottom(part));
      const IoVector target = iov.slice(done, part.bytes);
      if (copy)
        co_await or_return(co_await co_node_copy_on_read(file_.node(), part, target));
      else
        co_await or_return(co_await file_.co_preadv(part, target));
      done += part.bytes;
    }
    co_return Result<>();
  }
  std::string bottom_;
  bool counted_ = false;
};

}  // namespace

const BlockDriver kCopyOnReadDriver = {
    .name = "copy-on-read",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<CopyOnReadNode>(); },
};

}  // namespace rhea
