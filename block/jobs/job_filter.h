// JobFilter: what jobs put above the image they work on. Shows its child unchanged.
#pragma once

#include "block/graph/block_driver_state.h"

namespace rhea {

class JobFilter : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext&) override { co_return Result<>(); }
  std::string exact_filename() const override {
    if (!backing_) return {};
    const std::string& below = backing_.node().filename();
    return below.starts_with("json:") ? std::string() : below;
  }
  bool is_inserted() const override { return !backing_ || backing_.node().is_inserted(); }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override { return backing_.co_preadv(range, iov); }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override { return backing_.co_pwritev(range, iov); }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    return backing_.co_pwrite_zeroes(range, may_unmap);
  }
  CoResult<> co_pdiscard(ByteRange range) override { return backing_.co_pdiscard(range); }
  CoResult<> co_flush() override {
    if (!backing_) return nothing();
    return backing_.co_flush();
  }
  CoResult<BlockStatus> co_block_status(ByteRange range) override { return backing_.co_block_status(range); }
  CoResult<uint64_t> co_getlength() override { co_return backing_ ? backing_.node().total_bytes() : 0; }
  CoResult<uint64_t> co_allocated_size() override {
    if (!backing_) co_return fail_errno(ENOTSUP, "Node '", name(), "'");
    co_return co_await backing_.node().co_allocated_size();
  }

  Result<> debug_break(std::string_view event, std::string_view tag) override {
    return backing_ ? backing_.node().debug_break(event, tag) : BlockDriverState::debug_break(event, tag);
  }
  Result<> debug_remove_break(std::string_view tag) override {
    return backing_ ? backing_.node().debug_remove_break(tag) : BlockDriverState::debug_remove_break(tag);
  }
  Result<> debug_resume(std::string_view tag) override {
    return backing_ ? backing_.node().debug_resume(tag) : BlockDriverState::debug_resume(tag);
  }
  bool debug_is_suspended(std::string_view tag) override {
    return backing_ && backing_.node().debug_is_suspended(tag);
  }

 private:
  static CoResult<> nothing() { co_return Result<>(); }
};

}  // namespace rhea
