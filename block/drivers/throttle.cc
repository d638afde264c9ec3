// throttle: shows its child unchanged, no faster than its throttle group allows.
#include "block/drivers/drivers.h"
#include "block/graph/io.h"
#include "block/throttle/group.h"

namespace rhea {

namespace {

class ThrottleNode final : public BlockDriverState {
 public:
  uint32_t file_role(const OptionTree&) const override {
    return child_role::kFiltered | child_role::kPrimary;
  }
  CoResult<> co_open(OpenContext& ctx) override {
    member_.join(co_await or_return(take_group(ctx.options)));
    co_return Result<>();
  }
  CoResult<> co_reopen_prepare(OptionTree& options, const OpenFlags&) override {
    next_ = co_await or_return(take_group(options));
    co_return Result<>();
  }
  void reopen_commit() override {
    if (next_ != member_.group()) member_.join(std::move(next_));
    next_.reset();
  }
  void reopen_abort() override { next_.reset(); }

  ThrottleMember* throttle_member() override { return &member_; }

  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    ThrottleTicket ticket(member_, false, range.bytes);
    co_await ticket;
    co_return co_await file_.co_preadv(range, iov);
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    ThrottleTicket ticket(member_, true, range.bytes);
    co_await ticket;
    co_return co_await file_.co_pwritev(range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    ThrottleTicket ticket(member_, true, range.bytes);
    co_await ticket;
    co_return co_await file_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    ThrottleTicket ticket(member_, true, range.bytes);
    co_await ticket;
    co_return co_await file_.co_pdiscard(range);
  }
  CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov) override {
    ThrottleTicket ticket(member_, true, range.bytes);
    co_await ticket;
    co_return co_await co_node_pwrite_compressed(file_.node(), range, iov);
  }
  CoResult<BlockStatus> co_block_status(ByteRange range) override { return file_.co_block_status(range); }
  CoResult<uint64_t> co_getlength() override { co_return file_.node().total_bytes(); }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override {
    co_await or_return(co_await file_.node().co_truncate(bytes, how));
    co_return co_await file_.node().co_refresh_length();
  }

 private:
  static Result<std::shared_ptr<ThrottleGroup>> take_group(OptionTree& options) {
    const auto name = TRY(options.take_string("throttle-group"));
    if (!name) return fail(EINVAL, "Please specify a throttle group");
    std::shared_ptr<ThrottleGroup> group = find_throttle_group(*name);
    if (group == nullptr) return fail(EINVAL, "Throttle group '", *name, "' does not exist");
    return group;
  }
  ThrottleMember member_;
  std::shared_ptr<ThrottleGroup> next_;  ///< between co_reopen_prepare() and commit
};

}  // namespace

const BlockDriver kThrottleDriver = {
    .name = "throttle",
    .is_filter = true,
    .any_loop = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<ThrottleNode>(); },
};

}  // namespace rhea
