// reopen: other options for the open image.
#include <getopt.h>

#include <cstdio>

#include "block/cache_mode.h"
#include "block/graph/reopen.h"
#include "tools/io/io.h"
#include "util/log.h"

namespace rhea::io {

namespace {

struct Wanted {
  OptionTree options;
  std::optional<bool> writable, write_cache;
  std::optional<CacheMode> cache;
};

/// False: it said what is wrong.
bool parse(const Words& words, Wanted& w) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  optind = 0;
  for (int c = 0; (c = getopt(static_cast<int>(words.size()), argv.data(), "+c:o:rw")) != -1;) {
    switch (c) {
      case 'c': {
        const Result<CacheMode> mode = parse_cache_mode(optarg);
        if (!mode) {
          error_report(str_cat("Invalid cache option: ", optarg));
          return false;
        }
        w.cache = *mode;
        break;
      }
      case 'o': {
        Result<OptionTree> parsed = parse_tool_options(optarg, nullptr);
        if (!parsed) {
          error_report(parsed.error());
          return false;
        }
        w.options = std::move(*parsed);
        break;
      }
      case 'r':
      case 'w':
        if (w.writable) {
          error_report("Only one -r/-w option can be given");
          return false;
        }
        w.writable = c == 'w';
        break;
      default:
        print_usage(*find_command("reopen"));
        return false;
    }
  }
  if (optind == static_cast<int>(words.size())) return true;
  print_usage(*find_command("reopen"));
  return false;
}

Result<> merge(Wanted& w) {
  if (w.writable) {
    if (w.options.has("read-only")) return fail(EINVAL, "Cannot set both -r/-w and 'read-only'");
    w.options.set("read-only", !*w.writable);
  }
  if (w.cache) {
    if (w.options.has("cache.direct") || w.options.has("cache.no-flush"))
      return fail(EINVAL, "Cannot set both -c and the cache options");
    w.options.set("cache.direct", w.cache->direct);
    w.options.set("cache.no-flush", w.cache->no_flush);
  }
  return {};
}

}  // namespace

int cmd_reopen(Session& s, const Words& words) {
  Wanted w;
  if (!parse(words, w)) return -1;
  BlockBackend& disk = s.image()->backend();
  if (const Result<> merged = merge(w); !merged) return -report(merged.error());
  s.wait_for_started();
  if (w.writable == false) {
    constexpr uint32_t kWriting = blk_perm::kWrite | blk_perm::kWriteUnchanged | blk_perm::kResize;
    const PermPair less{disk.perms().perm & ~kWriting, disk.perms().shared};
    if (const Result<> r = s.tool().run(s.tool().co_set_perm(disk, less)); !r) return -report(r.error());
  }
  std::vector<ReopenRequest> requests;
  requests.push_back({NodeRef(s.image()->node()), std::move(w.options)});
  const Result<> r = s.tool().run(co_reopen(s.tool().graph(), std::move(requests), true));
  if (!r) return -report(r.error());
  if (w.cache) disk.set_write_cache_enabled(w.cache->writeback);
  return 0;
}

}  // namespace rhea::io
