// rhea-img rebase, commit: an image and the one below it.
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "block/graph/aligned_buffer.h"
#include "block/graph/io.h"
#include "block/graph/node_opener.h"
#include "tools/img/img.h"
#include "tools/img/progress.h"
#include "util/log.h"

namespace rhea::img {

namespace {

constexpr uint64_t kRebaseStep = 2u << 20;

struct RebaseRequest {
  ImageRequest image;
  std::string backing_file, backing_format, source_cache = "writeback";
  bool has_backing = false, unsafe = false, progress = false;
};

/// Reads `range` of `node`; what lies behind its end are zeroes.
CoResult<> co_read_padded(BlockDriverState* node, ByteRange range, uint8_t* into) {
  std::memset(into, 0, range.bytes);
  if (node == nullptr || range.offset >= node->total_bytes()) co_return Result<>();
  const uint64_t n = std::min(range.bytes, node->total_bytes() - range.offset);
  const IoVector view(into, n);
  co_return co_await co_node_preadv(*node, ByteRange(range.offset, n), view);
}

/// Where the image has nothing, what shows through must stay the same: differences become its own.
CoResult<> co_keep_content(BlockBackend& image, BlockDriverState* old_base, BlockDriverState* new_base,
                           Progress& bar) {
  AlignedBuffer before, after;
  co_await or_return(before.allocate(4096, kRebaseStep));
  co_await or_return(after.allocate(4096, kRebaseStep));
  BlockDriverState& top = *image.node();
  const uint64_t size = top.total_bytes();
  for (uint64_t at = 0; at < size;) {
    const BlockStatus s = co_await or_return(
        co_await co_node_block_status(top, ByteRange(at, std::min(kRebaseStep, size - at))));
    const ByteRange range(at, s.bytes);
    at += s.bytes;
    bar.set(at, size);
    if (s.allocated) continue;
    co_await or_return(co_await co_read_padded(old_base, range, before.data()));
    co_await or_return(co_await co_read_padded(new_base, range, after.data()));
    for (uint64_t i = 0; i < range.bytes;) {
      const auto length = [&](uint64_t from) { return std::min(kSectorBytes, range.bytes - from); };
      const auto differs = [&](uint64_t from) {
        return std::memcmp(before.data() + from, after.data() + from, length(from)) != 0;
      };
      uint64_t end = i + length(i);
      if (differs(i)) {
        while (end < range.bytes && differs(end)) end += length(end);
        const IoVector view(before.data() + i, end - i);
        co_await or_return(co_await image.co_pwritev(ByteRange(range.offset + i, end - i), view));
      }
      i = end;
    }
  }
  co_return co_await image.co_flush();
}

int do_rebase(Tool& tool, RebaseRequest& r) {
  r.image.writable = r.image.resizable = true;
  r.image.no_backing = r.unsafe;
  Result<std::unique_ptr<ToolImage>> image = tool.open(r.image);
  if (!image) return report(image.error());
  BlockDriverState& node = (*image)->node();
  if (!r.backing_format.empty() && tool.graph().find_driver(r.backing_format) == nullptr)
    return report(Error(EINVAL, str_cat("Invalid format name: '", r.backing_format, "'")));
  Progress bar(r.progress);
  if (!r.unsafe) {
    std::unique_ptr<ToolImage> base;
    if (!r.backing_file.empty()) {
      ImageRequest request;
      const Result<std::string> name = resolve_backing_name(node.filename(), r.backing_file);
      if (!name) return report(name.error());
      request.name = *name;
      request.format = r.backing_format;
      request.cache = r.source_cache;
      request.force_share = r.image.force_share;
      Result<std::unique_ptr<ToolImage>> opened = tool.open(request);
      if (!opened) {
        error_report(str_cat(
            "Could not open new backing file '", r.backing_file,
            "': ", opened.error().message().substr(str_cat("Could not open '", *name, "': ").size())));
        return 1;
      }
      base = std::move(*opened);
    }
    BlockDriverState* old_base = node.backing() ? &node.backing().node() : nullptr;
    Result<> kept =
        tool.run(co_keep_content((*image)->backend(), old_base, base ? &base->node() : nullptr, bar));
    if (!kept) {
      bar.end(false);
      return report(kept.error());
    }
  }
  if (!r.backing_file.empty() && r.backing_format.empty())
    return report(Error(EINVAL, "Could not change the backing file to '" + r.backing_file +
                                    "': backing format must be specified"));
  Result<> changed = tool.run(node.co_change_backing_name(BackingName{r.backing_file, r.backing_format}));
  if (!changed) {
    bar.end(false);
    const int e = changed.error().errnum();
    if (e == ENOSPC)
      return report(Error(e, str_cat("Could not change the backing file to '", r.backing_file,
                                     "': No space left in the file header")));
    return report(std::move(changed).error().prepend(
        str_cat("Could not change the backing file to '", r.backing_file, "': ")));
  }
  bar.end(true);
  return 0;
}

}  // namespace

int cmd_rebase(Tool& tool, int argc, char** argv) {
  RebaseRequest r;
  Options options(tool, r.image, argc, argv, "f:F:b:upt:T:qU");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'F':
        r.backing_format = options.value();
        break;
      case 'b':
        r.backing_file = options.value();
        r.has_backing = true;
        break;
      case 'u':
        r.unsafe = true;
        break;
      case 't':
        r.image.cache = options.value();
        break;
      case 'T':
        r.source_cache = options.value();
        break;
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  if (!r.unsafe && !r.has_backing)
    return usage_error("Must specify backing file (-b) or use simple mode (-u)");
  r.image.name = argv[options.index()];
  r.progress = options.progress();
  return do_rebase(tool, r);
}

namespace {

struct CommitRequest {
  ImageRequest image;
  std::string base;
  bool keep = false, quiet = false, progress = false;
  uint64_t bytes_per_second = 0;  ///< 0: no limit
};

/// Writes what the nodes from `top` down to above `base` have of their own into `base`.
CoResult<> co_commit(BlockDriverState& top, BlockDriverState& base, BlockBackend& into,
                     uint64_t bytes_per_second, Progress& bar) {
  AlignedBuffer buffer;
  co_await or_return(buffer.allocate(4096, kRebaseStep));
  const uint64_t size = top.total_bytes();
  if (size > base.total_bytes()) co_await or_return(co_await into.co_truncate(size));
  for (uint64_t at = 0; at < size;) {
    ByteRange range(at, std::min(kRebaseStep, size - at));
    bool own = false, zero = false;
    for (BlockDriverState* n = &top; n != &base && !own; n = &n->backing().node()) {
      const BlockStatus s = co_await or_return(co_await co_node_block_status(*n, range));
      if (s.bytes == 0) {  // a shorter image in between: zeroes from here on
        own = zero = true;
        break;
      }
      range.bytes = s.bytes;
      own = s.allocated;
      zero = s.zero;
    }
    at += range.bytes;
    bar.set(at, size);
    if (!own) continue;
    if (zero) {
      co_await or_return(co_await into.co_pwrite_zeroes(range, true));
      continue;
    }
    const IoVector view(buffer.data(), range.bytes);
    co_await or_return(co_await co_node_preadv(top, range, view));
    co_await or_return(co_await into.co_pwritev(range, view));
    if (bytes_per_second != 0)
      co_await AioContext::current()->co_sleep(realtime_clock(),
                                               static_cast<int64_t>(static_cast<double>(range.bytes) * 1e9 /
                                                                    static_cast<double>(bytes_per_second)));
  }
  co_return co_await into.co_flush();
}

CoResult<> co_insert(BlockGraph& graph, BlockBackend& backend, BlockDriverState& node) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_return co_await backend.co_insert(lock, node);
}
CoResult<> co_remove(BlockGraph& graph, BlockBackend& backend) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_return co_await backend.co_remove(lock);
}

int do_commit(Tool& tool, CommitRequest& r, int depth) {
  std::string prefix;
  for (int i = 0; i < depth; ++i) prefix += "backing.";
  r.image.options.set(prefix + "read-only", false);
  r.image.writable = r.image.resizable = true;
  Result<std::unique_ptr<ToolImage>> image = tool.open(r.image);
  if (!image) return report(image.error());
  BlockDriverState* base = &(*image)->node();
  for (int i = 0; i < depth; ++i) base = &base->backing().node();
  BlockBackend into(tool.graph(), "",
                    {blk_perm::kConsistentRead | blk_perm::kWrite | blk_perm::kResize, blk_perm::kAll});
  if (Result<> inserted = tool.run(co_insert(tool.graph(), into, *base)); !inserted)
    return report(inserted.error());
  Progress bar(r.progress);
  Result<> done = tool.run(co_commit((*image)->node(), *base, into, r.bytes_per_second, bar));
  bar.end(done.has_value());
  if (Result<> removed = tool.run(co_remove(tool.graph(), into)); !removed && done) done = removed;
  if (!done) return report(done.error());
  if (!r.keep && r.base.empty()) {
    Result<> emptied = tool.run((*image)->node().co_make_empty());
    if (!emptied)
      return report(std::move(emptied).error().prepend(str_cat("Failed to empty ", r.image.name, ": ")));
  }
  if (!r.quiet) std::printf("Image committed.\n");
  return 0;
}

/// How far below the image `base` is; -1: nowhere.
int find_depth(ToolImage& image, const std::string& base) {
  int depth = 0;
  for (BlockDriverState* n = &image.node(); n->backing(); n = &n->backing().node()) {
    ++depth;
    const Result<std::string> full = resolve_backing_name(n->filename(), base);
    if (n->backing_name().file == base || n->backing().node().filename() == base ||
        (full && n->backing().node().filename() == *full))
      return depth;
  }
  return -1;
}

}  // namespace

int cmd_commit(Tool& tool, int argc, char** argv) {
  CommitRequest r;
  Options options(tool, r.image, argc, argv, "f:t:b:dpqr:");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 't':
        r.image.cache = options.value();
        break;
      case 'b':
        r.base = options.value();
        break;
      case 'd':
        r.keep = true;
        break;
      case 'r':
        if (!parse_size(options.value(), r.bytes_per_second))
          return report(Error(EINVAL, "Invalid rate limit specified"));
        break;
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  r.image.name = argv[options.index()];
  r.quiet = options.quiet();
  r.progress = options.progress();
  int depth = 1;
  {
    ImageRequest look = r.image;
    Result<std::unique_ptr<ToolImage>> image = tool.open(look);
    if (!image) return report(image.error());
    if (!(*image)->node().backing()) return report(Error(EINVAL, "Image does not have a backing file"));
    if (!r.base.empty()) depth = find_depth(**image, r.base);
    if (depth < 0)
      return report(
          Error(EINVAL, str_cat("Did not find '", r.base, "' in the backing chain of '", r.image.name, "'")));
  }
  return do_commit(tool, r, depth);
}

}  // namespace rhea::img
