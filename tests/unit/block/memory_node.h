// A node over the in-memory engine, for tests: failures, delays and odd alignments on request.
#pragma once

#include "block/aio/memory_engine.h"
#include "block/graph/block_graph.h"

namespace rhea {

class MemoryNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override {
    size_ = (co_await or_return(ctx.options.take_size("size"))).value_or(65536);
    alignment_ = static_cast<uint32_t>((co_await or_return(ctx.options.take_number("align"))).value_or(1));
    fail_length_ = (co_await or_return(ctx.options.take_bool("fail-length"))).value_or(false);
    max_transfer_ = (co_await or_return(ctx.options.take_size("max-transfer"))).value_or(0);
    engine.bytes().resize(size_);
    engine.set_alignment(alignment_ & (alignment_ - 1) ? 1 : alignment_);
    co_return Result<>();
  }
  void refresh_limits(BlockLimits& limits) const override {
    limits.request_alignment = alignment_;
    limits.memory_alignment = alignment_;
    limits.max_transfer = max_transfer_;
  }
  CoResult<> co_preadv(ByteRange r, IoVector iov) override { return engine.co_preadv(-1, r, iov); }
  CoResult<> co_pwritev(ByteRange r, IoVector iov) override { return engine.co_pwritev(-1, r, iov); }
  CoResult<> co_flush() override { return engine.co_fdatasync(-1); }
  CoResult<uint64_t> co_getlength() override {
    if (fail_length_) co_return fail(EIO, "no length");
    co_return size_;
  }
  std::string exact_filename() const override { return "memory://"; }

  MemoryEngine engine{0};

 private:
  uint64_t size_ = 0;
  uint64_t max_transfer_ = 0;
  uint32_t alignment_ = 1;
  bool fail_length_ = false;
};

inline const BlockDriver kMemoryDriver = {
    .name = "memory",
    .is_protocol = true,
    .any_loop = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<MemoryNode>(); },
};

}  // namespace rhea
