// Reads and writes, at once or started, with patterns.
#include <getopt.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "block/graph/aligned_buffer.h"
#include "tools/io/io.h"

namespace rhea::io {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMostBytes = (uint64_t{1} << 31) - 512;

/// A request as its command line describes it, and its buffer.
struct Request {
  std::string name;
  ByteRange range;
  std::vector<uint64_t> lengths;
  AlignedBuffer buffer;
  std::vector<iovec> pieces;
  std::optional<int> pattern;
  uint64_t pattern_offset = 0;
  std::optional<uint64_t> pattern_bytes;
  std::string pattern_file;
  bool quiet = false, dump = false, zeroes = false, unmap = false, fua = false, compressed = false,
       machine = false, vm_state = false, no_fallback = false, invalid = false;
  Clock::time_point start;
};

/// getopt over the words of a command.
class WordOptions {
 public:
  WordOptions(const Words& words, const char* letters) : letters_(letters) {
    for (const std::string& w : words) argv_.push_back(const_cast<char*>(w.c_str()));
    argv_.push_back(nullptr);
    optind = 0;
  }
  int next() { return getopt(static_cast<int>(argv_.size()) - 1, argv_.data(), letters_); }
  Words rest() const {
    Words out;
    for (size_t i = static_cast<size_t>(optind); i + 1 < argv_.size(); ++i) out.emplace_back(argv_[i]);
    return out;
  }

 private:
  const char* letters_;
  std::vector<char*> argv_;
};

bool parse_pattern(const char* text, std::optional<int>& out) {
  uint64_t n = 0;
  if (!parse_u64(text, n) || n > 255) {
    std::printf("%s is not a valid pattern byte\n", text);
    return false;
  }
  out = static_cast<int>(n);
  return true;
}

/// Takes options and the offset; the lengths remain in `rest`.
bool parse_request(const Words& words, const char* letters, bool writes, Request& r, Words& rest) {
  WordOptions options(words, letters);
  r.name = words[0];
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case 'b':
        r.vm_state = true;
        break;
      case 'C':
        r.machine = true;
        break;
      case 'c':
        r.compressed = true;
        break;
      case 'f':
        r.fua = true;
        break;
      case 'n':
        r.no_fallback = true;
        break;
      case 'i':
        r.invalid = true;
        break;
      case 'p':
        break;
      case 'q':
        r.quiet = true;
        break;
      case 'u':
        r.unmap = true;
        break;
      case 'v':
        r.dump = true;
        break;
      case 'z':
        r.zeroes = true;
        break;
      case 'a':
        break;
      case 'P':
        if (!parse_pattern(optarg, r.pattern)) return false;
        break;
      case 'l': {
        const std::optional<uint64_t> n = size_argument(optarg);
        if (!n) return false;
        r.pattern_bytes = *n;
        break;
      }
      case 's':
        if (writes) {
          r.pattern_file = optarg;
        } else {
          const std::optional<uint64_t> n = size_argument(optarg);
          if (!n) return false;
          r.pattern_offset = *n;
        }
        break;
      default:
        print_usage(*find_command(words[0]));
        return false;
    }
  }
  rest = options.rest();
  if (rest.size() < 2) {
    print_usage(*find_command(words[0]));
    return false;
  }
  const std::optional<uint64_t> offset = size_argument(rest[0]);
  if (!offset) return false;
  r.range.offset = *offset;
  rest.erase(rest.begin());
  return true;
}

bool take_lengths(Request& r, const Words& rest) {
  for (const std::string& text : rest) {
    const std::optional<uint64_t> n = size_argument(text);
    if (!n) return false;
    if (*n > kMostBytes || r.range.bytes + *n > kMostBytes) {
      std::printf("length cannot exceed %" PRIu64 ", given %s\n", kMostBytes, text.c_str());
      return false;
    }
    r.lengths.push_back(*n);
    r.range.bytes += *n;
  }
  return true;
}

bool make_buffer(Request& r, int fill) {
  if (!r.buffer.allocate(4096, r.range.bytes)) {
    std::printf("out of memory\n");
    return false;
  }
  std::memset(r.buffer.data(), fill, r.range.bytes);
  uint64_t at = 0;
  for (const uint64_t n : r.lengths) {
    r.pieces.push_back({r.buffer.data() + at, n});
    at += n;
  }
  return true;
}

bool fill_from_file(Request& r) {
  std::ifstream in(r.pattern_file, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open()) {
    std::printf("%s: %s\n", r.pattern_file.c_str(), std::strerror(errno));
    return false;
  }
  if (content.empty()) {
    std::fprintf(stderr, "%s: file is empty\n", r.pattern_file.c_str());
    return false;
  }
  for (uint64_t i = 0; i < r.range.bytes; ++i)
    r.buffer.data()[i] = static_cast<uint8_t>(content[i % content.size()]);
  return true;
}

void dump(const uint8_t* data, uint64_t offset, uint64_t bytes) {
  constexpr uint64_t kLine = 16;
  for (uint64_t at = 0; at < bytes; at += kLine) {
    std::printf("%08" PRIx64 ":  ", offset + at);
    for (uint64_t i = at; i < at + kLine && i < bytes; ++i) std::printf("%02x ", data[i]);
    std::printf(" ");
    for (uint64_t i = at; i < at + kLine && i < bytes; ++i)
      std::printf("%c", data[i] >= 32 && data[i] < 127 ? data[i] : '.');
    std::printf("\n");
  }
}

void print_report(const Request& r, const char* verb, uint64_t operations) {
  const std::chrono::duration<double> took = Clock::now() - r.start;
  const double s = std::max(took.count(), 1e-9);
  const double per_second = static_cast<double>(r.range.bytes) / s;
  if (r.machine) {
    std::printf("%" PRIu64 ",%" PRIu64 ",%.6f,%.6f,%.4f\n", r.range.bytes, operations, s, per_second,
                static_cast<double>(operations) / s);
    return;
  }
  char time[32];
  if (s >= 60)
    std::snprintf(time, sizeof time, "%u:%02u:%05.2f", static_cast<unsigned>(s) / 3600,
                  static_cast<unsigned>(s) / 60 % 60,
                  s - 60.0 * static_cast<double>(static_cast<unsigned>(s) / 60));
  else
    std::snprintf(time, sizeof time, "%05.2f sec", s);
  std::printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", verb, r.range.bytes, r.range.bytes,
              r.range.offset);
  std::printf("%s, %" PRIu64 " ops; %s (%s/sec and %.4f ops/sec)\n",
              bytes_text(static_cast<double>(r.range.bytes)).c_str(), operations, time,
              bytes_text(per_second).c_str(), static_cast<double>(operations) / s);
}

CoResult<> co_write(BlockBackend& disk, Request& r) {
  if (r.zeroes)
    co_await or_return(co_await disk.co_pwrite_zeroes(r.range, r.unmap));
  else {
    const std::span<const iovec> pieces(r.pieces);
    const IoVector view(pieces);
    if (r.vm_state)
      co_await or_return(co_await disk.node()->co_save_vmstate(r.range.offset, view));
    else if (r.compressed)
      co_await or_return(co_await disk.co_pwrite_compressed(r.range, view));
    else
      co_await or_return(co_await disk.co_pwritev(r.range, view));
  }
  if (r.fua) co_await or_return(co_await disk.co_flush());
  co_return Result<>();
}

CoResult<> co_read(BlockBackend& disk, Request& r) {
  const std::span<const iovec> pieces(r.pieces);
  const IoVector view(pieces);
  if (r.vm_state) co_return co_await disk.node()->co_load_vmstate(r.range.offset, view);
  co_return co_await disk.co_preadv(r.range, view);
}

/// False if the pattern is not what was read.
bool verify(const Request& r) {
  if (!r.pattern) return true;
  const uint64_t from = r.pattern_offset, n = r.pattern_bytes.value_or(r.range.bytes - from);
  for (uint64_t i = from; i < from + n; ++i) {
    if (r.buffer.data()[i] == *r.pattern) continue;
    std::printf("Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes\n",
                r.range.offset + from, n);
    return false;
  }
  return true;
}

int finish_read(const Request& r, const Result<>& result) {
  if (!result) {
    std::printf("%s failed: %s\n", r.name.c_str(), errno_text(result.error().errnum()).c_str());
    return -1;
  }
  const bool good = verify(r);
  if (r.quiet) return good ? 0 : -1;
  if (r.dump) dump(r.buffer.data(), r.range.offset, r.range.bytes);
  print_report(r, "read", 1);
  return good ? 0 : -1;
}

int finish_write(const Request& r, const Result<>& result) {
  if (!result) {
    std::printf("%s failed: %s\n", r.name.c_str(), errno_text(result.error().errnum()).c_str());
    return -1;
  }
  if (!r.quiet) print_report(r, "wrote", 1);
  return 0;
}

constexpr int kDefaultPattern = 0xcd, kUnread = 0xab;

bool prepare_read(const Words& words, const char* letters, Request& r) {
  Words rest;
  if (!parse_request(words, letters, false, r, rest) || !take_lengths(r, rest)) return false;
  if (!r.pattern && (r.pattern_bytes || r.pattern_offset != 0)) {
    print_usage(*find_command(words[0]));
    return false;
  }
  if (r.pattern_offset > r.range.bytes || r.pattern_bytes.value_or(0) > r.range.bytes - r.pattern_offset) {
    std::printf("pattern verification range exceeds end of read data\n");
    return false;
  }
  return make_buffer(r, kUnread);
}

bool prepare_write(const Words& words, const char* letters, Request& r) {
  Words rest;
  if (!parse_request(words, letters, true, r, rest) || !take_lengths(r, rest)) return false;
  const auto reject = [](const char* text) {
    std::printf("%s\n", text);
    return false;
  };
  if (r.vm_state && r.zeroes) return reject("-b and -z cannot be specified at the same time");
  if (r.vm_state && r.compressed) return reject("-b and -c cannot be specified at the same time");
  if (r.compressed && r.zeroes) return reject("-c and -z cannot be specified at the same time");
  if (r.unmap && !r.zeroes) return reject("-u requires -z to be specified");
  if (r.no_fallback && !r.zeroes) return reject("-n requires -z to be specified");
  if (r.pattern && r.zeroes) return reject("-z and -P cannot be specified at the same time");
  if (r.pattern && !r.pattern_file.empty())
    return reject("Only one of -z, -P, and -s can be specified at the same time");
  if (r.zeroes) return true;
  return make_buffer(r, r.pattern.value_or(kDefaultPattern)) && (r.pattern_file.empty() || fill_from_file(r));
}

int read_now(Session& s, const Words& words, const char* letters) {
  Request r;
  if (!prepare_read(words, letters, r)) return -1;
  r.start = Clock::now();
  const Result<> result = s.tool().run(co_read(s.image()->backend(), r));
  return finish_read(r, result);
}

int write_now(Session& s, const Words& words, const char* letters) {
  Request r;
  if (!prepare_write(words, letters, r)) return -1;
  r.start = Clock::now();
  const Result<> result = s.tool().run(co_write(s.image()->backend(), r));
  return finish_write(r, result);
}

}  // namespace

int cmd_read(Session& s, const Words& words) {
  return read_now(s, words, "+abCl:pP:qs:v");
}
int cmd_readv(Session& s, const Words& words) {
  return read_now(s, words, "+CP:qv");
}
int cmd_write(Session& s, const Words& words) {
  return write_now(s, words, "+bcCfnpP:qs:uz");
}
int cmd_writev(Session& s, const Words& words) {
  return write_now(s, words, "+CfqP:");
}

int cmd_aio_read(Session& s, const Words& words) {
  auto r = std::make_shared<Request>();
  if (!prepare_read(words, "+CP:iqv", *r)) return -1;
  r->start = Clock::now();
  s.start(co_read(s.image()->backend(), *r), [r](const Result<>& result) {
    if (!result)
      std::printf("readv failed: %s\n", errno_text(result.error().errnum()).c_str());
    else
      finish_read(*r, result);
  });
  return 0;
}

int cmd_aio_write(Session& s, const Words& words) {
  auto r = std::make_shared<Request>();
  if (!prepare_write(words, "+CfiP:quz", *r)) return -1;
  r->start = Clock::now();
  s.start(co_write(s.image()->backend(), *r), [r](const Result<>& result) {
    if (!result)
      std::printf("aio_write failed: %s\n", errno_text(result.error().errnum()).c_str());
    else
      finish_write(*r, result);
  });
  return 0;
}

int cmd_aio_flush(Session& s, const Words&) {
  s.wait_for_started();
  return 0;
}

int cmd_flush(Session& s, const Words&) {
  const Result<> r = s.tool().run(s.image()->backend().co_flush());
  return r ? 0 : -1;
}

int cmd_discard(Session& s, const Words& words) {
  Request r;
  Words rest;
  if (!parse_request(words, "+Cq", false, r, rest) || !take_lengths(r, rest)) return -1;
  r.start = Clock::now();
  const Result<> result = s.tool().run(s.image()->backend().co_pdiscard(r.range));
  if (!result) {
    std::printf("discard failed: %s\n", errno_text(result.error().errnum()).c_str());
    return -1;
  }
  if (!r.quiet) print_report(r, "discard", 1);
  return 0;
}

}  // namespace rhea::io
