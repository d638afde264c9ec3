// null-co, null-aio: a node of a given size that takes every write and, if asked to, reads as zeroes. For
// tests and measurements.
#include "block/drivers/drivers.h"
#include "util/clock.h"

namespace rhea {

namespace {

class NullNode final : public BlockDriverState {
 public:
  /// `deferred`: requests end in a later pass of the loop, as those of real storage do.
  explicit NullNode(bool deferred) : deferred_(deferred) {}

  CoResult<> co_open(OpenContext& ctx) override {
    std::ignore = co_await or_return(ctx.options.take_string("filename"));
    constexpr uint64_t kDefaultBytes = uint64_t{1} << 30;
    size_ = (co_await or_return(ctx.options.take_size("size"))).value_or(kDefaultBytes);
    const uint64_t latency = (co_await or_return(take_latency(ctx.options)));
    latency_ns_ = static_cast<int64_t>(latency);
    read_zeroes_ = (co_await or_return(ctx.options.take_bool("read-zeroes"))).value_or(false);
    co_return Result<>();
  }
  CoResult<> co_preadv(ByteRange, IoVector iov) override {
    if (read_zeroes_) iov.zero();
    return co_wait();
  }
  CoResult<> co_pwritev(ByteRange, IoVector) override { return co_wait(); }
  CoResult<> co_pwrite_zeroes(ByteRange, bool) override { return co_wait(); }
  bool zeroes_fast(ByteRange) const override { return true; }
  CoResult<> co_pdiscard(ByteRange) override { return co_wait(); }
  CoResult<> co_flush() override { return co_wait(); }
  CoResult<BlockStatus> co_block_status(ByteRange range) override {
    co_return BlockStatus{.bytes = range.bytes, .data = !read_zeroes_, .zero = read_zeroes_};
  }
  CoResult<uint64_t> co_getlength() override { co_return size_; }
  CoResult<uint64_t> co_allocated_size() override { co_return uint64_t{0}; }
  std::string exact_filename() const override { return str_cat(driver().name, "://"); }

 private:
  static Result<uint64_t> take_latency(OptionTree& options) {
    const Json* given = options.get("latency-ns");
    const bool negative = given != nullptr && given->is_int() && given->as_int() < 0;
    if (negative) return fail(EINVAL, "latency-ns is invalid");
    const uint64_t ns = TRY(options.take_number("latency-ns")).value_or(0);
    if (ns > INT64_MAX) return fail(EINVAL, "latency-ns is invalid");
    return ns;
  }
  CoResult<> co_wait() {
    AioContext& loop = *AioContext::current();
    if (latency_ns_ > 0)
      co_await loop.co_sleep(realtime_clock(), latency_ns_);
    else if (deferred_)
      co_await loop.co_yield_now();
    co_return Result<>();
  }
  const bool deferred_;
  uint64_t size_ = 0;
  int64_t latency_ns_ = 0;
  bool read_zeroes_ = false;
};

/// The name carries no options: "null-co://" is all there is.
Result<> check_name(std::string_view only, const std::string& filename) {
  if (filename != only) return fail(EINVAL, "The only allowed filename for this driver is '", only, "'");
  return {};
}

}  // namespace

const BlockDriver kNullCoDriver = {
    .name = "null-co",
    .is_protocol = true,
    .any_loop = true,
    .protocol_name = "null-co",
    .parse_filename = [](const std::string& f, OptionTree&) { return check_name("null-co://", f); },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<NullNode>(false); },
};

const BlockDriver kNullAioDriver = {
    .name = "null-aio",
    .is_protocol = true,
    .any_loop = true,
    .protocol_name = "null-aio",
    .parse_filename = [](const std::string& f, OptionTree&) { return check_name("null-aio://", f); },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<NullNode>(true); },
};

}  // namespace rhea
