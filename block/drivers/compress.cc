// compress: shows its child unchanged, and writes to it whole clusters, compressed.
#include "block/drivers/drivers.h"
#include "block/graph/io.h"

namespace rhea {

namespace {

class CompressNode final : public BlockDriverState {
 public:
  uint32_t file_role(const OptionTree&) const override {
    return child_role::kFiltered | child_role::kPrimary;
  }
  CoResult<> co_open(OpenContext&) override {
    BlockDriverState& below = file_.node();
    if (!below.driver().can_compress)
      co_return fail(ENOTSUP, "Compression is not supported for underlying format: ", below.driver().name);
    const ImageDetails details = co_await or_return(co_await below.co_details());
    if (details.cluster_bytes <= UINT32_MAX) cluster_ = static_cast<uint32_t>(details.cluster_bytes);
    co_return Result<>();
  }
  /// The layer above completes partial clusters.
  void refresh_limits(BlockLimits& limits) const override {
    limits.request_alignment = std::max(limits.request_alignment, cluster_);
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override { return file_.co_preadv(range, iov); }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    return co_node_pwrite_compressed(file_.node(), range, iov);
  }
  CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov) override {
    return co_node_pwrite_compressed(file_.node(), range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    return file_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override { return file_.co_pdiscard(range); }
  CoResult<BlockStatus> co_block_status(ByteRange range) override { return file_.co_block_status(range); }
  CoResult<uint64_t> co_getlength() override { co_return file_.node().total_bytes(); }

 private:
  uint32_t cluster_ = 1;
};

}  // namespace

const BlockDriver kCompressDriver = {
    .name = "compress",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<CompressNode>(); },
};

}  // namespace rhea
