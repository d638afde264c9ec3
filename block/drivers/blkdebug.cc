// blkdebug: shows its child unchanged, but lets requests fail or wait as rules say. For tests of what lies
// above.
#include "block/drivers/blkdebug.h"

#include "block/drivers/drivers.h"

namespace rhea {

namespace {

constexpr std::string_view kPrefix = "blkdebug:";

class BlkdebugNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override {
    config_ = (co_await or_return(ctx.options.take_string("config"))).value_or("");
    const std::string image = (co_await or_return(ctx.options.take_string("x-image"))).value_or("");
    if (!config_.empty()) co_await or_return(rules_.read_file(config_));
    by_options_ = ctx.options.has_below("inject-error") || ctx.options.has_below("set-state");
    co_await or_return(rules_.take_options(ctx.options));
    co_await or_return(take_limits(ctx.options));
    constexpr uint32_t kRole = child_role::kFiltered | child_role::kPrimary;
    file_ = co_await or_return(co_await ctx.co_open_child("image", kRole, image));
    if (!file_) co_return fail(EINVAL, "A block device must be specified for \"image\"");
    co_return Result<>();
  }
  void refresh_limits(BlockLimits& limits) const override {
    limits.request_alignment = std::max(limits.request_alignment, align_);
    if (max_transfer_ != 0) limits.max_transfer = max_transfer_;
    if (max_write_zero_ != 0) limits.max_pwrite_zeroes = max_write_zero_;
    if (opt_write_zero_ != 0) limits.pwrite_zeroes_alignment = opt_write_zero_;
    if (max_discard_ != 0) limits.max_pdiscard = max_discard_;
  }
  std::string exact_filename() const override {
    if (by_options_ || file_.node().filename().empty()) return {};
    return str_cat(kPrefix, config_, ":", file_.node().filename());
  }

  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kRead, range));
    co_return co_await file_.co_preadv(range, iov);
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kWrite, range));
    co_return co_await file_.co_pwritev(range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kWriteZeroes, range));
    co_return co_await file_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kDiscard, range));
    co_return co_await file_.co_pdiscard(range);
  }
  CoResult<> co_flush() override {
    const ByteRange nowhere;
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kFlush, nowhere));
    co_return co_await file_.co_flush();
  }
  CoResult<BlockStatus> co_block_status(ByteRange range) override {
    co_await or_return(co_await rules_.co_check(BlkdebugRule::kBlockStatus, range));
    co_return co_await file_.co_block_status(range);
  }
  CoResult<uint64_t> co_getlength() override { co_return file_.node().total_bytes(); }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override {
    co_await or_return(co_await file_.node().co_truncate(bytes, how));
    co_return co_await file_.node().co_refresh_length();
  }

  bool grows_by_writing() const override { return file_.node().grows_by_writing(); }
  bool hears_debug_events() const override { return true; }
  CoResult<> co_debug_event(std::string_view event) override { return rules_.co_event(event); }
  Result<> debug_break(std::string_view event, std::string_view tag) override {
    return rules_.add_break(event, tag);
  }
  Result<> debug_remove_break(std::string_view tag) override { return rules_.remove_break(tag); }
  Result<> debug_resume(std::string_view tag) override { return rules_.resume(tag); }
  bool debug_is_suspended(std::string_view tag) override { return rules_.is_suspended(tag); }

 private:
  Result<> take_limits(OptionTree& options) {
    const uint64_t align = TRY(options.take_size("align")).value_or(1);
    if (align == 0 || align > UINT32_MAX || (align & (align - 1)) != 0)
      return fail(EINVAL, "Cannot meet constraints with align ", align);
    align_ = static_cast<uint32_t>(align);
    auto multiple = [&](std::string_view key) -> Result<uint64_t> {
      const uint64_t value = TRY(options.take_size(key)).value_or(0);
      if (value >= INT32_MAX || value % align != 0)
        return fail(EINVAL, "Cannot meet constraints with ", key, " ", value);
      return value;
    };
    max_transfer_ = TRY(multiple("max-transfer"));
    opt_write_zero_ = static_cast<uint32_t>(TRY(multiple("opt-write-zero")));
    if ((opt_write_zero_ & (opt_write_zero_ - 1)) != 0)
      return fail(EINVAL, "Cannot meet constraints with opt-write-zero ", opt_write_zero_);
    max_write_zero_ = TRY(multiple("max-write-zero"));
    std::ignore = TRY(multiple("opt-discard"));  // a hint
    max_discard_ = TRY(multiple("max-discard"));
    return {};
  }

  BlkdebugRules rules_;
  std::string config_;
  bool by_options_ = false;
  uint32_t align_ = 1, opt_write_zero_ = 0;
  uint64_t max_transfer_ = 0, max_write_zero_ = 0, max_discard_ = 0;
};

/// "blkdebug:CONFIG:IMAGE"; an empty CONFIG means no file of rules.
Result<> parse_name(const std::string& filename, OptionTree& options) {
  std::string_view rest = filename;
  if (rest.starts_with(kPrefix)) {
    rest.remove_prefix(kPrefix.size());
    const size_t colon = rest.find(':');
    if (colon == std::string_view::npos)
      return fail(EINVAL, "blkdebug requires both config file and image path");
    if (colon != 0) options.set("config", std::string(rest.substr(0, colon)), OptionOrigin::kFilename);
    rest.remove_prefix(colon + 1);
  }
  options.set("x-image", std::string(rest), OptionOrigin::kFilename);
  return {};
}

}  // namespace

const BlockDriver kBlkdebugDriver = {
    .name = "blkdebug",
    .is_protocol = true,
    .is_filter = true,
    .protocol_name = "blkdebug",
    .parse_filename = parse_name,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<BlkdebugNode>(); },
};

}  // namespace rhea
