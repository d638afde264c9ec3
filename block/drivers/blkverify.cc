// blkverify: writes to two nodes, reads from both and ends the process where they differ. For tests of
// formats.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "block/drivers/drivers.h"
#include "block/graph/aligned_buffer.h"

namespace rhea {

namespace {

constexpr std::string_view kBlkverifyPrefix = "blkverify:";

/// The child `image` is the one being tested; `raw` has what is right.
class BlkverifyNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override {
    const std::string raw = (co_await or_return(ctx.options.take_string("x-raw"))).value_or("");
    const std::string image = (co_await or_return(ctx.options.take_string("x-image"))).value_or("");
    constexpr uint32_t kRole = child_role::kFiltered | child_role::kPrimary;
    file_ = co_await or_return(co_await ctx.co_open_child("raw", kRole, raw));
    if (!file_) co_return fail(EINVAL, "A block device must be specified for \"raw\"");
    BdrvChild test = co_await or_return(co_await ctx.co_open_child("test", child_role::kData, image));
    if (!test) co_return fail(EINVAL, "A block device must be specified for \"test\"");
    other_children_.push_back(std::move(test));
    co_return Result<>();
  }
  void refresh_limits(BlockLimits& limits) const override {
    limits.request_alignment = std::max(limits.request_alignment, test().node().limits().request_alignment);
    limits.memory_alignment = std::max(limits.memory_alignment, test().node().limits().memory_alignment);
  }
  std::string exact_filename() const override {
    const std::string &raw = file_.node().filename(), &image = test().node().filename();
    if (raw.starts_with("json:") || image.starts_with("json:")) return {};
    return str_cat(kBlkverifyPrefix, raw, ":", image);
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    AlignedBuffer buffer;
    co_await or_return(buffer.allocate(std::max<uint64_t>(limits().memory_alignment, 16), range.bytes));
    const Result<> tested = co_await test().co_preadv(range, buffer.iov(range.bytes));
    const Result<> right = co_await file_.co_preadv(range, iov);
    compare_results("read", range, tested, right);
    if (!right) co_return right;
    size_t done = 0;
    iov.for_each([&](const void* data, size_t n) {
      const auto* a = static_cast<const uint8_t*>(data);
      const uint8_t* b = buffer.data() + done;
      for (size_t i = 0; std::memcmp(a, b, n) != 0 && i < n; ++i)
        if (a[i] != b[i])
          differ("read", range, str_cat("contents mismatch at offset ", range.offset + done + i));
      done += n;
    });
    co_return Result<>();
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    const Result<> tested = co_await test().co_pwritev(range, iov);
    Result<> right = co_await file_.co_pwritev(range, iov);
    compare_results("write", range, tested, right);
    co_return right;
  }
  /// Only the one being tested may have something that can be lost.
  CoResult<> co_flush() override { return test().co_flush(); }
  CoResult<uint64_t> co_getlength() override { co_return test().node().total_bytes(); }

 private:
  const BdrvChild& test() const { return other_children_.front(); }
  [[noreturn]] static void differ(const char* what, ByteRange range, const std::string& how) {
    std::fprintf(stderr, "blkverify: %s offset=%llu bytes=%llu %s\n", what,
                 static_cast<unsigned long long>(range.offset), static_cast<unsigned long long>(range.bytes),
                 how.c_str());
    std::_Exit(1);  // other threads may be anywhere
  }
  static void compare_results(const char* what, ByteRange range, const Result<>& tested,
                              const Result<>& right) {
    const int a = tested ? 0 : tested.error().errnum(), b = right ? 0 : right.error().errnum();
    if (a != b) differ(what, range, str_cat("return value mismatch ", -a, " != ", -b));
  }
};

/// "blkverify:RAW:IMAGE"
Result<> parse_blkverify_name(const std::string& filename, OptionTree& options) {
  std::string_view rest = filename;
  if (!rest.starts_with(kBlkverifyPrefix)) {
    options.set("x-image", filename, OptionOrigin::kFilename);
    return {};
  }
  rest.remove_prefix(kBlkverifyPrefix.size());
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos)
    return fail(EINVAL, "blkverify requires raw copy and original image path");
  options.set("x-raw", rest.substr(0, colon), OptionOrigin::kFilename);
  options.set("x-image", rest.substr(colon + 1), OptionOrigin::kFilename);
  return {};
}

}  // namespace

const BlockDriver kBlkverifyDriver = {
    .name = "blkverify",
    .is_protocol = true,
    .protocol_name = "blkverify",
    .parse_filename = parse_blkverify_name,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<BlkverifyNode>(); },
};

}  // namespace rhea
