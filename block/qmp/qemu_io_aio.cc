#include "block/qmp/qemu_io_aio.h"

#include <algorithm>
#include <cstring>

#include "block/graph/aligned_buffer.h"
#include "block/graph/block_graph.h"

namespace rhea {

namespace {

using HandKind = BlockAccounting::Kind;

struct HandAio {
  HandAio(BlockBackend& d, HandKind k) : drive(d), kind(k) {}
  BlockBackend& drive;
  HandKind kind;
  bool invalid = false, zeroes = false;
  uint64_t pattern = 0xcd;
  std::vector<uint64_t> numbers;
};

Result<HandAio> parse_hand_aio(BlockBackend& drive, std::span<const std::string> words) {
  HandAio out(drive, words[0] == "aio_read" ? HandKind::kRead : HandKind::kWrite);
  for (size_t i = 1; i < words.size(); ++i) {
    uint64_t value = 0;
    const bool pattern = words[i] == "-P" && i + 1 < words.size();
    if (words[i] == "-i" || words[i] == "-z") {
      (words[i] == "-i" ? out.invalid : out.zeroes) = true;
      continue;
    }
    if (pattern) ++i;
    if (!parse_size(words[i], value)) return fail(EINVAL, "non-numeric length argument -- ", words[i]);
    if (pattern)
      out.pattern = value;
    else
      out.numbers.push_back(value);
  }
  constexpr uint64_t kMostBytes = uint64_t{1} << 31;
  if (out.numbers.size() != 2) return fail(EINVAL, "bad argument count, expected offset and length");
  if (out.numbers[1] >= kMostBytes) return fail(EINVAL, "length cannot exceed ", kMostBytes - 1);
  return out;
}

/// Runs beside everything else. The drive waits for it before it goes, as for a guest's request.
CoResult<> co_run_hand_aio(HandAio r) {
  const ByteRange range(r.numbers[0], r.numbers[1]);
  if (r.zeroes) co_return co_await r.drive.co_pwrite_zeroes(range, false);
  AlignedBuffer buffer;
  constexpr uint64_t kAlignment = 4096;
  co_await or_return(buffer.allocate(kAlignment, range.bytes));
  if (r.kind == HandKind::kRead) co_return co_await r.drive.co_preadv(range, buffer.iov(range.bytes));
  std::memset(buffer.data(), static_cast<int>(r.pattern & 0xff), range.bytes);
  co_return co_await r.drive.co_pwritev(range, buffer.iov(range.bytes));
}

}  // namespace

bool is_hand_aio(std::string_view command) {
  return command == "aio_read" || command == "aio_write" || command == "aio_flush";
}

CoResult<> co_hand_aio(BlockBackend& drive, std::span<const std::string> words) {
  if (words[0] == "aio_flush") {
    const int64_t start_ns = BlockAccounting::now_ns();
    BlockGraph& graph = drive.graph();
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    auto gone = [&] { return std::ranges::find(graph.backends(), &drive) == graph.backends().end(); };
    if (gone()) co_return fail(ENODEV, "The drive is gone");
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, drive));
    if (gone()) co_return fail(ENODEV, "The drive is gone");
    drive.accounting().done(HandKind::kFlush, 0, start_ns);
    co_return Result<>();
  }
  HandAio request = co_await or_return(parse_hand_aio(drive, words));
  if (request.invalid) {
    drive.accounting().invalid(request.kind);
    co_return Result<>();
  }
  co_start<void>(co_run_hand_aio(std::move(request)), [](Result<>) {});  // statistics tell how it went
  co_return Result<>();
}

}  // namespace rhea
