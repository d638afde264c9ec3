// Discs for the drive: content that tells its address, reads that fail or are held back on request.
#pragma once

#include <algorithm>

#include "block/graph/block_graph.h"
#include "util/co_sync.h"

namespace rhea {

/// The byte at `offset` of every DiscNode.
inline uint8_t disc_byte(uint64_t offset) {
  return static_cast<uint8_t>((offset / 2048) * 7 + offset % 251);
}

class DiscNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override {
    size = (co_await or_return(ctx.options.take_size("size"))).value_or(1 << 20);
    co_return Result<>();
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    ++reads;
    while (hold) co_await held.co_wait();
    if (fail_next != 0) co_return fail(std::exchange(fail_next, 0), "bad sector");
    uint64_t at = range.offset;
    iov.for_each([&](void* data, size_t n) {
      for (size_t i = 0; i < n; ++i) static_cast<uint8_t*>(data)[i] = disc_byte(at++);
    });
    co_return Result<>();
  }
  CoResult<uint64_t> co_getlength() override { co_return size; }
  std::string exact_filename() const override { return "disc://"; }

  void release() {
    hold = false;
    held.wake_all();
  }
  uint64_t size = 0;
  int reads = 0;
  int fail_next = 0;
  bool hold = false;
  CoQueue held;
};

inline const BlockDriver kDiscDriver = {
    .name = "disc",
    .is_protocol = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<DiscNode>(); },
};

/// A disk in memory.
class DiskNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override {
    bytes.resize((co_await or_return(ctx.options.take_size("size"))).value_or(1 << 20));
    co_return Result<>();
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    co_await or_return(co_await co_admit());
    iov.copy_from(&bytes[range.offset]);
    co_return Result<>();
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    co_await or_return(co_await co_admit());
    iov.copy_to(&bytes[range.offset]);
    co_return Result<>();
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    co_await or_return(co_await co_admit());
    discarded.push_back(range);
    co_return Result<>();
  }
  CoResult<> co_flush() override {
    co_await or_return(co_await co_admit());
    ++flushes;
    co_return Result<>();
  }
  CoResult<uint64_t> co_getlength() override { co_return uint64_t{bytes.size()}; }
  std::string exact_filename() const override { return "disk://"; }

  void release() {
    hold = false;
    held.wake_all();
  }
  std::vector<uint8_t> bytes;
  std::vector<ByteRange> discarded;
  int requests = 0, flushes = 0;
  int fail_next = 0;
  bool hold = false;
  CoQueue held;

 private:
  CoResult<> co_admit() {
    ++requests;
    while (hold) co_await held.co_wait();
    if (fail_next != 0) co_return fail(std::exchange(fail_next, 0), "bad sector");
    co_return Result<>();
  }
};

inline const BlockDriver kDiskDriver = {
    .name = "disk",
    .is_protocol = true,
    .any_loop = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<DiskNode>(); },
};

}  // namespace rhea
