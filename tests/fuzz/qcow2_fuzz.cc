// Fuzzes qcow2: an image of any content in memory is opened, read, written, checked, repaired, and its
// snapshots are made and used. Storage that is told to grow without bound says no.
#include <cstdlib>
#include <cstring>

#include "block/drivers/drivers.h"
#include "block/graph/block_backend.h"
#include "block/graph/open.h"

namespace rhea {
namespace {

constexpr uint64_t kMostFuzzBytes = 4 << 20;  ///< of the image file

template <class T>
T must(Result<T> r) {
  if (!r) abort();
  if constexpr (!std::is_void_v<T>) return std::move(r).value();
}

std::vector<uint8_t> fuzz_image;

class FuzzFile final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext&) override { co_return Result<>(); }
  void refresh_limits(BlockLimits& limits) const override { limits.request_alignment = 1; }
  CoResult<> co_preadv(ByteRange r, IoVector iov) override {
    iov.zero();
    if (r.offset < fuzz_image.size())
      iov.slice(0, std::min<uint64_t>(r.bytes, fuzz_image.size() - r.offset))
          .copy_from(&fuzz_image[r.offset]);
    co_return Result<>();
  }
  CoResult<> co_pwritev(ByteRange r, IoVector iov) override {
    if (r.bytes > kMostFuzzBytes || r.offset > kMostFuzzBytes - r.bytes) co_return fail(ENOSPC, "full");
    if (fuzz_image.size() < r.end()) fuzz_image.resize(r.end());
    iov.copy_to(&fuzz_image[r.offset]);
    co_return Result<>();
  }
  CoResult<> co_flush() override { co_return Result<>(); }
  CoResult<> co_truncate(uint64_t bytes, Preallocation) override {
    if (bytes > kMostFuzzBytes) co_return fail(ENOSPC, "full");
    fuzz_image.resize(bytes);
    co_return Result<>();
  }
  CoResult<uint64_t> co_getlength() override { co_return fuzz_image.size(); }
  bool grows_by_writing() const override { return true; }
  std::string exact_filename() const override { return "fuzz://"; }
};

const BlockDriver kFuzzDriver = {
    .name = "fuzz",
    .is_protocol = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<FuzzFile>(); },
};

class Qcow2Fuzz {
 public:
  Qcow2Fuzz(const uint8_t* data, size_t size) : next_(data), end_(data + size) {
    loop_->make_current();
    register_block_drivers(graph_);
    graph_.register_driver(kFuzzDriver);
  }
  ~Qcow2Fuzz() { must(run_to_completion(*loop_, graph_.co_shutdown())); }

  void run() {
    const uint8_t flags = u8();
    const size_t steps = std::min<size_t>(u8() % 32, static_cast<size_t>(end_ - next_) / 4);
    const uint8_t* image = next_ + steps * 4;
    const uint8_t* const last = end_;
    fuzz_image.assign(image, last);
    end_ = image;
    std::ignore = run_to_completion(*loop_, co_use((flags & 1) != 0, (flags & 2) != 0));
  }

 private:
  uint8_t u8() { return next_ != end_ ? *next_++ : 0; }

  CoResult<> co_use(bool read_only, bool for_check) {
    const Json options = Json::object({{"driver", "qcow2"},
                                       {"read-only", read_only},
                                       {"backing", Json()},
                                       {"discard", "unmap"},
                                       {"overlap-check", "all"},
                                       {"file.driver", "fuzz"}});
    OpenRequest request(OptionTree::from_json(options), std::string());
    request.for_check = for_check;
    Result<NodeRef> opened = co_await co_open_node(graph_, std::move(request));
    if (!opened) co_return Result<>();
    BlockBackend disk(graph_, "",
                      {blk_perm::kConsistentRead |
                           (read_only ? 0u : uint32_t{blk_perm::kWrite} | uint32_t{blk_perm::kResize}),
                       blk_perm::kAll});
    {
      Result<GraphWriteLock> lock = co_await graph_.co_lock();
      Result<> inserted = co_await disk.co_insert(*lock, **opened);
      if (!inserted) co_return Result<>();
    }
    while (next_ != end_) co_await co_step(disk);
    Result<GraphWriteLock> lock = co_await graph_.co_lock();
    std::ignore = co_await disk.co_remove(*lock);
    opened->reset();
    std::ignore = co_await graph_.co_reap(*lock);
    co_return Result<>();
  }

  CoResult<> co_step(BlockBackend& disk) {
    const uint8_t op = u8(), where = u8(), fine = u8(), how_much = u8();
    BlockDriverState& node = *disk.node();
    const uint64_t size = node.total_bytes();
    const uint64_t offset = std::min(size / 255 * where + fine * uint64_t{512}, size);
    const uint64_t n = std::min<uint64_t>(how_much * uint64_t{1024} + 512, size - offset);
    const ByteRange range(offset, n);
    std::vector<uint8_t> bytes(std::max<uint64_t>(n, 1), op);
    const IoVector iov(bytes.data(), n);
    switch (op % 14) {
      case 0:
        std::ignore = co_await disk.co_preadv(range, iov);
        break;
      case 1:
        std::ignore = co_await disk.co_pwritev(range, iov);
        break;
      case 2:
        std::ignore = co_await disk.co_pwrite_zeroes(range, (fine & 1) != 0);
        break;
      case 3:
        std::ignore = co_await disk.co_pdiscard(range);
        break;
      case 4:
        std::ignore = co_await disk.co_flush();
        break;
      case 5:
        std::ignore = co_await disk.co_pwrite_compressed(range, iov);
        break;
      case 6:
        std::ignore = co_await disk.co_block_status(range);
        break;
      case 7:
      case 8: {
        CheckOptions options{op % 14 == 8 && !node.read_only(),
                             op % 14 == 8 && !node.read_only() && (fine & 1) != 0, [](const std::string&) {}};
        std::ignore = co_await node.co_check(std::move(options));
        break;
      }
      case 9:
        std::ignore = co_await node.co_details();
        break;
      case 10: {
        if (node.read_only()) break;
        ImageSnapshot s;
        s.name = "s";
        std::ignore = co_await node.co_snapshot_create(std::move(s));
        break;
      }
      case 11:
        if (node.read_only())
          std::ignore = co_await node.co_snapshot_load(id(where));
        else
          std::ignore = co_await node.co_snapshot_apply(id(where));
        break;
      case 12:
        if (!node.read_only()) std::ignore = co_await node.co_snapshot_delete(id(where));
        break;
      case 13:
        if (!node.read_only()) std::ignore = co_await disk.co_truncate(how_much * uint64_t{65536});
        break;
    }
    co_return Result<>();
  }
  static std::string id(uint8_t n) { return std::to_string(n % 4); }

  const uint8_t* next_;
  const uint8_t* end_;
  std::unique_ptr<AioContext> loop_ = must(AioContext::create("fuzz"));
  BlockGraph graph_{*loop_};
};

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > rhea::kMostFuzzBytes) return 0;
  rhea::Qcow2Fuzz(data, size).run();
  return 0;
}
