// rhea-img compare.
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "block/graph/io.h"
#include "tools/img/img.h"
#include "tools/img/progress.h"
#include "util/log.h"

namespace rhea::img {

namespace {

constexpr int kSame = 0, kDifferent = 1, kCompareFailed = 2;
constexpr uint64_t kCompareStep = 2u << 20;

/// What the whole chain says about a run.
struct Run {
  uint64_t bytes = 0;
  bool zero = false;
  bool allocated = false;
};

CoResult<Run> compare_co_look(BlockDriverState& top, ByteRange range) {
  BlockDriverState* node = &top;
  for (;;) {
    const BlockStatus s = co_await or_return(co_await co_node_block_status(*node, range));
    if (s.bytes == 0) co_return Run{range.bytes, true, false};
    range.bytes = s.bytes;
    if (s.allocated || !node->backing()) co_return Run{s.bytes, s.zero, s.allocated && (s.data || s.zero)};
    node = &node->backing().node();
  }
}

CoResult<> co_read(BlockBackend& disk, ByteRange range, std::vector<uint8_t>& into) {
  const IoVector view(into.data(), range.bytes);
  co_return co_await disk.co_preadv(range, view);
}

class Comparison {
 public:
  Comparison(Tool& tool, ToolImage& a, ToolImage& b, bool strict, bool quiet)
      : tool_(tool), a_(a), b_(b), strict_(strict), quiet_(quiet), of_a_(kCompareStep), of_b_(kCompareStep) {}

  /// Exit status; `differs_at` if there is one place to name.
  int run(Progress& progress) {
    const uint64_t shared = std::min(a_.bytes(), b_.bytes()), all = std::max(a_.bytes(), b_.bytes());
    for (uint64_t at = 0; at < shared;) {
      ByteRange range(at, std::min(kCompareStep, shared - at));
      Result<Run> first = tool_.run(compare_co_look(a_.node(), range)),
                  second = tool_.run(compare_co_look(b_.node(), range));
      if (!first || !second) return failed_status(first ? b_ : a_);
      range.bytes = std::min({range.bytes, first->bytes, second->bytes});
      if (strict_ && first->allocated != second->allocated) {
        say("Strict mode: Offset ", at, " block status mismatch!");
        return kDifferent;
      }
      if (!first->zero || !second->zero)
        if (const int status = compare(range); status != kSame) return status;
      at += range.bytes;
      progress.set(at, all);
    }
    if (a_.bytes() != b_.bytes())
      if (const int status = check_tail(shared, all, progress); status != kSame) return status;
    if (!quiet_) std::printf("Images are identical.\n");
    return kSame;
  }

 private:
  template <class... A>
  void say(const A&... pieces) {
    if (!quiet_) std::printf("%s\n", str_cat(pieces...).c_str());
  }
  int failed_status(ToolImage& image) {
    error_report(str_cat("Sector allocation test failed for ", image.name()));
    return kCompareFailed + 1;
  }
  int read(ToolImage& image, ByteRange range, std::vector<uint8_t>& into) {
    Result<> r = tool_.run(co_read(image.backend(), range, into));
    if (r) return kSame;
    error_report(str_cat("Error while reading offset ", range.offset, " of ", image.name(), ": ",
                         errno_text(r.error().errnum())));
    return kCompareFailed + 2;
  }
  int compare(ByteRange range) {
    if (const int s = read(a_, range, of_a_); s != kSame) return s;
    if (const int s = read(b_, range, of_b_); s != kSame) return s;
    if (std::memcmp(of_a_.data(), of_b_.data(), range.bytes) == 0) return kSame;
    const auto [at, other] =
        std::mismatch(of_a_.begin(), of_a_.begin() + static_cast<ptrdiff_t>(range.bytes), of_b_.begin());
    const uint64_t sector = static_cast<uint64_t>(at - of_a_.begin()) / kSectorBytes * kSectorBytes;
    say("Content mismatch at offset ", range.offset + sector, "!");
    return kDifferent;
  }
  /// The longer image must read as zeroes where the other one ends.
  int check_tail(uint64_t from, uint64_t end, Progress& progress) {
    if (strict_) {
      say("Strict mode: Image size mismatch!");
      return kDifferent;
    }
    say("Warning: Image size mismatch!");
    ToolImage& longer = a_.bytes() > b_.bytes() ? a_ : b_;
    for (uint64_t at = from; at < end;) {
      ByteRange range(at, std::min(kCompareStep, end - at));
      Result<Run> run = tool_.run(compare_co_look(longer.node(), range));
      if (!run) return failed_status(longer);
      range.bytes = std::min(range.bytes, run->bytes);
      if (!run->zero) {
        if (const int s = read(longer, range, of_a_); s != kSame) return s;
        const auto* hit =
            std::find_if(of_a_.data(), of_a_.data() + range.bytes, [](uint8_t b) { return b != 0; });
        if (hit != of_a_.data() + range.bytes) {
          say("Content mismatch at offset ",
              at + static_cast<uint64_t>(hit - of_a_.data()) / kSectorBytes * kSectorBytes, "!");
          return kDifferent;
        }
      }
      at += range.bytes;
      progress.set(at, end);
    }
    return kSame;
  }

  Tool& tool_;
  ToolImage& a_;
  ToolImage& b_;
  bool strict_, quiet_;
  std::vector<uint8_t> of_a_, of_b_;
};

}  // namespace

int cmd_compare(Tool& tool, int argc, char** argv) {
  ImageRequest first, second;
  bool strict = false;
  Options options(tool, first, argc, argv, "f:F:T:pqsU");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status() != 0 ? kCompareFailed : 0;
      case 'F':
        second.format = options.value();
        break;
      case 'T':
        first.cache = second.cache = options.value();
        break;
      case 's':
        strict = true;
        break;
    }
  }
  if (options.index() != argc - 2) {
    usage_error("Expecting two image file names");
    return kCompareFailed;
  }
  second.image_opts = first.image_opts;
  second.force_share = first.force_share;
  first.name = argv[options.index()];
  second.name = argv[options.index() + 1];
  Result<std::unique_ptr<ToolImage>> a = tool.open(first);
  if (!a) {
    report(a.error());
    return kCompareFailed;
  }
  Result<std::unique_ptr<ToolImage>> b = tool.open(second);
  if (!b) {
    report(b.error());
    return kCompareFailed;
  }
  Progress bar(options.progress());
  const int status = Comparison(tool, **a, **b, strict, options.quiet()).run(bar);
  bar.end(status == kSame);
  return status;
}

}  // namespace rhea::img
