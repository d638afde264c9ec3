// rhea-img bench: so many requests of one size, so many at a time, and how long that takes.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "block/graph/aligned_buffer.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {

struct BenchRequest {
  ImageRequest image;
  uint64_t count = 75000, depth = 64, bytes = 4096, step = 0, offset = 0, flush_interval = 0, pattern = 0;
  bool write = false, drain = true;
};

class Bench {
 public:
  Bench(BlockBackend& disk, const BenchRequest& r) : disk_(disk), r_(r), offset_(r.offset) {}

  CoResult<> co_run() {
    size_ = co_await or_return(disk_.getlength());
    const uint64_t all = std::max<uint64_t>(r_.bytes * r_.depth, 1);
    co_await or_return(buffer_.allocate(4096, all));
    std::memset(buffer_.data(), static_cast<int>(r_.pattern), all);
    // Between flushes that wait for everything the workers start anew.
    const bool stops = r_.flush_interval != 0 && r_.drain;
    while (started_ < r_.count && !failed_) {
      end_ = stops ? std::min(r_.count, started_ + r_.flush_interval) : r_.count;
      const bool whole = end_ - started_ == r_.flush_interval;
      Gate gate;
      for (uint64_t i = 0; i < r_.depth; ++i)
        gate.spawn<void>(co_worker(i), [this](Result<> done) {
          if (!done && !failed_) failed_ = done.error();
        });
      co_await or_return(co_await gate.co_close());
      if (stops && whole && !failed_) co_await or_return(co_await co_flush());
    }
    if (failed_) co_return Failure(*failed_);
    co_return Result<>();
  }

 private:
  CoResult<> co_worker(uint64_t number) {
    const IoVector view(buffer_.data() + number * r_.bytes, r_.bytes);
    while (started_ < end_ && !failed_) {
      const ByteRange range(offset_, r_.bytes);
      ++started_;
      const bool flush = r_.flush_interval != 0 && !r_.drain && started_ % r_.flush_interval == 0;
      offset_ = size_ == 0 ? 0 : (offset_ + r_.step) % size_;
      Result<> done =
          r_.write ? co_await disk_.co_pwritev(range, view) : co_await disk_.co_preadv(range, view);
      if (!done) co_return fail(done.error().errnum(), "Failed request: ", errno_text(done.error().errnum()));
      if (flush) co_await or_return(co_await co_flush());
    }
    co_return Result<>();
  }
  CoResult<> co_flush() {
    Result<> done = co_await disk_.co_flush();
    if (!done) co_return fail(done.error().errnum(), "Failed flush: ", errno_text(done.error().errnum()));
    co_return Result<>();
  }

  BlockBackend& disk_;
  const BenchRequest& r_;
  AlignedBuffer buffer_;
  uint64_t size_ = 0, offset_ = 0, started_ = 0, end_ = 0;
  std::optional<Error> failed_;
};

/// A number within bounds, or the message.
bool take_number(const char* text, uint64_t most, uint64_t& out, const char* message) {
  uint64_t n = 0;
  if (parse_size(text, n) && n <= most) {
    out = n;
    return true;
  }
  report(Error(EINVAL, message));
  return false;
}

}  // namespace

int cmd_bench(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"flush-interval", required_argument, nullptr, kFlushInterval},
                                     {"pattern", required_argument, nullptr, kPattern},
                                     {"no-drain", no_argument, nullptr, kNoDrain}};
  BenchRequest r;
  std::optional<uint64_t> step;
  Options options(tool, r.image, argc, argv, "c:d:f:ni:o:qs:S:t:wU", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    bool good = true;
    uint64_t n = 0;
    switch (c) {
      case -2:
        return options.status();
      case 'c':
        good = take_number(options.value(), INT32_MAX, r.count, "Invalid request count specified");
        break;
      case 'd':
        good = take_number(options.value(), INT32_MAX, r.depth, "Invalid queue depth specified");
        break;
      case 'n':
        r.image.aio = "native";
        break;
      case 'i':
        r.image.aio = options.value();
        break;
      case 'o':
        if (!parse_size(options.value(), r.offset) || r.offset > INT64_MAX) {
          error_report("Invalid offset specified. You may use k, M, G, T, P or E suffixes for");
          error_report("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
          return 1;
        }
        break;
      case 's':
        good = take_number(options.value(), INT32_MAX, r.bytes,
                           "Invalid buffer size specified. Must be between 0 and 2147483647.");
        break;
      case 'S':
        good = take_number(options.value(), INT32_MAX, n,
                           "Invalid step_size specified. Must be between 0 and 2147483647.");
        step = n;
        break;
      case 't':
        r.image.cache = options.value();
        break;
      case 'w':
        r.write = true;
        break;
      case kFlushInterval:
        good = take_number(options.value(), INT32_MAX, r.flush_interval, "Invalid flush interval specified");
        break;
      case kPattern:
        good = take_number(options.value(), 0xff, r.pattern, "Invalid pattern byte specified");
        break;
      case kNoDrain:
        r.drain = false;
        break;
    }
    if (!good) return 1;
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  if (!r.write && r.flush_interval != 0)
    return report(Error(EINVAL, "--flush-interval is only available in write tests"));
  if (r.flush_interval != 0 && r.flush_interval < r.depth)
    return report(Error(EINVAL, "Flush interval can't be smaller than depth"));
  r.image.name = argv[options.index()];
  r.image.writable = r.write;
  r.step = step.value_or(r.bytes);
  Result<std::unique_ptr<ToolImage>> image = tool.open(r.image);
  if (!image) return report(image.error());
  // What nobody has memory for is refused before anything is said.
  constexpr uint64_t kMostBytes = uint64_t{1} << 34;
  if (r.bytes * r.depth > kMostBytes)
    return report(Error(ENOMEM, "The requests' buffers would be too large"));
  if (!options.quiet()) {
    std::printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
                " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
                r.count, r.write ? "write" : "read", r.bytes, r.depth, r.offset, r.step);
    if (r.flush_interval != 0) std::printf("Sending flush every %" PRIu64 " requests\n", r.flush_interval);
    std::fflush(stdout);
  }
  Bench bench((*image)->backend(), r);
  const auto start = std::chrono::steady_clock::now();
  const Result<> done = tool.run(bench.co_run());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!done) return report(done.error());
  if (!options.quiet()) std::printf("Run completed in %3.3f seconds.\n", took.count());
  return 0;
}

}  // namespace rhea::img
