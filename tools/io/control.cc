// Everything but reads and writes: the image, its shape, the session.
#include <getopt.h>
#include <unistd.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "block/graph/io.h"
#include "tools/img/image_info.h"
#include "tools/io/io.h"

namespace rhea::io {

std::string bytes_text(double value) {
  static constexpr std::pair<double, const char*> kUnits[] = {
      {0x1p60, "EiB"}, {0x1p50, "PiB"}, {0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}};
  const char* unit = "bytes";
  for (const auto& [size, name] : kUnits) {
    if (value < size) continue;
    value /= size;
    unit = name;
    break;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%.4g", value);
  // At least three decimals where there are any.
  if (value != static_cast<double>(static_cast<uint64_t>(value))) {
    std::snprintf(text, sizeof text, "%.3f", value);
    std::string s = text;
    if (s.ends_with(".000")) s.resize(s.size() - 4);
    return str_cat(s, " ", unit);
  }
  std::snprintf(text, sizeof text, "%.0f", value);
  return str_cat(text, " ", unit);
}

std::optional<uint64_t> size_argument(const std::string& text) {
  uint64_t n = 0;
  if (parse_size(text, n) && n <= INT64_MAX) return n;
  if (text.starts_with('-') || parse_size(text, n))
    std::printf("Parsing error: argument too large -- %s\n", text.c_str());
  else
    std::printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
                text.c_str());
  return std::nullopt;
}

void print_usage(const Command& c) {
  std::printf("%s%s%s -- %s\n", c.name, c.arguments[0] != '\0' ? " " : "", c.arguments, c.one_line);
}

int cmd_help(Session&, const Words& words) {
  if (words.size() == 1) {
    for (const Command& c : commands()) print_usage(c);
    std::printf("\nUse 'help commandname' for extended help.\n");
    return 0;
  }
  const Command* c = find_command(words[1]);
  if (c == nullptr) {
    std::printf("command %s not found\n", words[1].c_str());
    return -1;
  }
  print_usage(*c);
  if (c->help != nullptr) std::printf("%s\n", c->help);
  return 0;
}

int cmd_length(Session& s, const Words&) {
  std::printf("%s\n", bytes_text(static_cast<double>(s.image()->bytes())).c_str());
  return 0;
}

int cmd_truncate(Session& s, const Words& words) {
  std::string how = "off";
  size_t at = 1;
  if (words.size() > 2 && words[1] == "-m") {
    how = words[2];
    at = 3;
  }
  if (at + 1 != words.size()) {
    print_usage(*find_command("truncate"));
    return -1;
  }
  const std::optional<uint64_t> n = size_argument(words[at]);
  const Result<Preallocation> mode = parse_preallocation(how);
  if (!n || !mode) return -1;
  const Result<> r = s.tool().run(s.image()->backend().co_truncate(*n, *mode));
  if (r) return 0;
  return -report(r.error());
}

int cmd_info(Session& s, const Words&) {
  Result<img::ImageReport> r = img::describe(s.tool(), *s.image());
  if (!r) return -report(r.error());
  std::printf("format name: %s\n", r->format.c_str());
  if (const std::string_view protocol = s.image()->node().driver().protocol_name; !protocol.empty())
    std::printf("format name: %s\n", std::string(protocol).c_str());
  if (r->details.cluster_bytes != 0)
    std::printf("cluster size: %s\n", bytes_text(static_cast<double>(r->details.cluster_bytes)).c_str());
  if (r->details.vm_state_offset != 0)
    std::printf("vm state offset: %s\n", bytes_text(static_cast<double>(r->details.vm_state_offset)).c_str());
  if (!r->details.specific.is_null())
    std::printf("Format specific information:\n%s", img::specific_text(r->details.specific).c_str());
  return 0;
}

namespace {
/// The run at `range`'s start that this image itself answers for, or does not.
CoResult<BlockStatus> co_own_run(BlockDriverState& node, ByteRange range) {
  BlockStatus all = co_await or_return(co_await co_node_block_status(node, range));
  if (all.bytes == 0) co_return all;
  while (all.bytes < range.bytes) {
    const ByteRange rest(range.offset + all.bytes, range.bytes - all.bytes);
    const BlockStatus next = co_await or_return(co_await co_node_block_status(node, rest));
    if (next.bytes == 0 || next.allocated != all.allocated) break;
    all.bytes += next.bytes;
  }
  co_return all;
}

std::string both(uint64_t n) {
  return str_cat(bytes_text(static_cast<double>(n)), " (0x", hex(n), ")");
}
}  // namespace

int cmd_alloc(Session& s, const Words& words) {
  const std::optional<uint64_t> offset = size_argument(words[1]);
  if (!offset) return -1;
  const std::optional<uint64_t> count =
      words.size() > 2 ? size_argument(words[2]) : std::optional<uint64_t>(kSectorBytes);
  if (!count) return -1;
  uint64_t allocated = 0, total = *count;
  for (uint64_t at = 0; at < *count;) {
    Result<BlockStatus> r = s.tool().run(co_own_run(s.image()->node(), ByteRange(*offset + at, *count - at)));
    if (!r) {
      std::printf("is_allocated failed: %s\n", errno_text(r.error().errnum()).c_str());
      return -1;
    }
    if (r->bytes == 0) break;
    if (r->allocated) allocated += r->bytes;
    at += r->bytes;
  }
  std::printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", allocated, total,
              bytes_text(static_cast<double>(*offset)).c_str());
  return 0;
}

int cmd_map(Session& s, const Words&) {
  const uint64_t size = s.image()->bytes();
  for (uint64_t at = 0; at < size;) {
    Result<BlockStatus> r = s.tool().run(co_own_run(s.image()->node(), ByteRange(at, size - at)));
    if (!r) {
      std::printf("Failed to get allocation status: %s\n", errno_text(r.error().errnum()).c_str());
      return -1;
    }
    if (r->bytes == 0) {
      std::printf("Unexpected end of image\n");
      return -1;
    }
    std::printf("%s bytes %s allocated at offset %s\n", both(r->bytes).c_str(),
                r->allocated ? "    " : " not", both(at).c_str());
    at += r->bytes;
  }
  return 0;
}

int cmd_open(Session& s, const Words& words) {
  std::vector<char*> argv;
  for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  ImageRequest r;
  r.writable = true;
  optind = 0;
  for (int c = 0; (c = getopt(static_cast<int>(words.size()), argv.data(), "+snCro:ki:t:d:U")) != -1;) {
    switch (c) {
      case 's':
        r.snapshot = true;
        break;
      case 'n':
        r.cache = "none";
        break;
      case 'C':
        r.copy_on_read = true;
        break;
      case 'r':
        r.writable = false;
        break;
      case 'k':
        r.aio = "native";
        break;
      case 'i':
        r.aio = optarg;
        break;
      case 't':
        r.cache = optarg;
        break;
      case 'd':
        r.discard = optarg;
        break;
      case 'U':
        r.force_share = true;
        break;
      case 'o': {
        Result<OptionTree> parsed = parse_tool_options(optarg, nullptr);
        if (!parsed) return -report(parsed.error());
        for (const OptionTree::Entry& e : parsed->entries()) r.options.set(e.key, e.value);
        break;
      }
      default:
        print_usage(*find_command("open"));
        return -1;
    }
  }
  if (optind == static_cast<int>(words.size()) - 1) {
    r.name = words.back();
  } else if (optind != static_cast<int>(words.size()) || r.options.empty()) {
    print_usage(*find_command("open"));
    return -1;
  }
  return s.open(std::move(r)) ? 0 : -1;
}

int cmd_close(Session& s, const Words&) {
  s.close();
  return 0;
}

int cmd_quit(Session& s, const Words&) {
  s.set_quit();
  return 0;
}

int cmd_sleep(Session& s, const Words& words) {
  uint64_t ms = 0;
  if (!parse_u64(words[1], ms) || ms > INT32_MAX) {
    std::printf("%s is not a numeric value\n", words[1].c_str());
    return -1;
  }
  constexpr int64_t kNsPerMs = 1'000'000;
  auto wait = [](AioContext& loop, int64_t ns) -> CoResult<> {
    co_await loop.co_sleep(realtime_clock(), ns);
    co_return Result<>();
  };
  std::ignore = s.tool().run(wait(s.tool().loop(), static_cast<int64_t>(ms) * kNsPerMs));
  return 0;
}

namespace {
/// Prints what is wrong with a breakpoint's command; its status.
int control_done(const char* what, const Result<>& r) {
  if (r) return 0;
  std::printf("%s: %s\n", what, errno_text(r.error().errnum()).c_str());
  return -1;
}
CoResult<> control_co_wait_break(Session& s, std::string tag) {
  while (!s.image()->node().debug_is_suspended(tag)) co_await s.tool().loop().co_yield_now();
  co_return Result<>();
}
}  // namespace

int cmd_break(Session& s, const Words& words) {
  return control_done("Could not set a breakpoint", s.image()->node().debug_break(words[1], words[2]));
}

int cmd_remove_break(Session& s, const Words& words) {
  return control_done(str_cat("Could not remove breakpoint ", words[1]).c_str(),
                      s.image()->node().debug_remove_break(words[1]));
}

int cmd_resume(Session& s, const Words& words) {
  return control_done("Could not resume request", s.image()->node().debug_resume(words[1]));
}

/// Other requests go on meanwhile.
int cmd_wait_break(Session& s, const Words& words) {
  std::ignore = s.tool().run(control_co_wait_break(s, words[1]));
  return 0;
}

int cmd_abort(Session&, const Words&) {
  std::abort();
}

int cmd_sigraise(Session&, const Words& words) {
  uint64_t n = 0;
  if (!parse_u64(words[1], n) || n > 64) {
    std::printf("%s is not a valid signal number\n", words[1].c_str());
    return -1;
  }
  std::fflush(stdout);
  std::raise(static_cast<int>(n));
  return 0;
}

}  // namespace rhea::io
