// rhea-img convert, dd: copies what one or more images hold into a new one.
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "block/graph/image_ops.h"
#include "block/graph/io.h"
#include "tools/img/bitmaps.h"
#include "tools/img/copy.h"
#include "tools/img/img.h"
#include "tools/img/progress.h"
#include "util/log.h"

namespace rhea::img {

namespace {

struct ConvertRequest {
  ImageRequest source, target;
  std::vector<std::string> sources;
  std::string output_format = "raw", backing_file, backing_format, snapshot;
  std::vector<std::string> options;
  CopyOptions copy;
  bool no_create = false, quiet = false, progress = false;
  bool bitmaps = false, skip_broken_bitmaps = false;
};

int parse(ConvertRequest& r, int argc, char** argv, Tool& tool, bool& done) {
  static constexpr option kLong[] = {{"source-image-opts", no_argument, nullptr, kImageOpts},
                                     {"target-image-opts", no_argument, nullptr, kTargetImageOpts},
                                     {"salvage", no_argument, nullptr, kSalvage},
                                     {"target-is-zero", no_argument, nullptr, kTargetIsZero},
                                     {"bitmaps", no_argument, nullptr, kBitmaps},
                                     {"skip-broken-bitmaps", no_argument, nullptr, kSkipBroken}};
  r.target.cache = "unsafe";
  done = true;
  bool offload = false;
  Options options(tool, r.source, argc, argv, "f:O:B:CcF:o:l:S:pt:T:qnm:WUr:", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'O':
        r.output_format = options.value();
        break;
      case 'B':
        r.backing_file = options.value();
        break;
      case 'F':
        r.backing_format = options.value();
        break;
      case 'C':
        offload = true;
        break;
      case 'c':
        r.copy.compressed = true;
        break;
      case 'o':
        r.options.emplace_back(options.value());
        break;
      case 'l':
        r.snapshot = options.value();
        break;
      case 'S': {
        uint64_t n = 0;
        if (!parse_size(options.value(), n) || n % kSectorBytes != 0)
          return report(Error(
              EINVAL,
              str_cat("Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up "
                      "to 2147483136. Select 0 to disable sparse detection (fully allocates output).")));
        r.copy.min_sparse_bytes = n;
        r.copy.sparse_given = true;
        break;
      }
      case 't':
        r.target.cache = options.value();
        break;
      case 'T':
        r.source.cache = options.value();
        break;
      case 'n':
        r.no_create = true;
        break;
      case 'W':
        r.copy.out_of_order = true;
        break;
      case 'm': {
        uint64_t n = 0;
        if (!parse_u64(options.value(), n) || n < 1 || n > 16)
          return report(Error(
              EINVAL, "Invalid number of coroutines. Allowed number of coroutines is between 1 and 16"));
        r.copy.workers = static_cast<int>(n);
        break;
      }
      case 'r': {
        uint64_t n = 0;
        if (!parse_size(options.value(), n)) return report(Error(EINVAL, "Invalid rate limit specified"));
        r.copy.bytes_per_second = n;
        break;
      }
      case kTargetImageOpts:
        r.target.image_opts = true;
        break;
      case kSalvage:
        r.copy.salvage = true;
        break;
      case kTargetIsZero:
        r.copy.target_is_zero = true;
        break;
      case kBitmaps:
        r.bitmaps = true;
        break;
      case kSkipBroken:
        r.skip_broken_bitmaps = true;
        break;
    }
  }
  r.quiet = options.quiet();
  r.progress = options.progress();
  std::vector<std::string> names(argv + options.index(), argv + argc);
  for (const std::string& text : r.options) {
    bool help = false;
    if (parse_tool_options(text, &help) && help)
      return print_create_options(tool, r.output_format, names.empty() ? std::string() : names.back());
  }
  if (names.size() < 2) return usage_error("Must specify image file name");
  r.target.name = names.back();
  names.pop_back();
  r.sources = std::move(names);
  if (r.skip_broken_bitmaps && !r.bitmaps)
    return report(Error(EINVAL, "Use of --skip-broken-bitmaps requires --bitmaps"));
  if (r.target.image_opts && !r.no_create)
    return report(Error(EINVAL, "--target-image-opts requires use of -n flag"));
  if (r.copy.target_is_zero && !r.no_create)
    return report(Error(EINVAL, "--target-is-zero requires use of -n flag"));
  if (r.copy.target_is_zero && !r.backing_file.empty())
    return report(
        Error(EINVAL, "--target-is-zero cannot be used when the target image is using a backing file"));
  // Offloading is a wish: what cannot be offloaded is copied here, and today that is everything.
  if (offload && r.copy.compressed)
    return report(Error(EINVAL, "Cannot enable copy offloading when -c is used"));
  if (offload && r.copy.sparse_given)
    return report(Error(EINVAL, "Cannot enable copy offloading when -S is used"));
  if (r.copy.out_of_order && r.copy.compressed)
    return report(Error(EINVAL, "Out of order write and compress are mutually exclusive"));
  if (r.sources.size() > 1 && !r.backing_file.empty())
    return report(Error(
        EINVAL,
        "Having a backing file for the target makes no sense when concatenating multiple input images"));
  done = false;
  return 0;
}

/// Makes the target as -O, -o and -B say, as large as the sources.
int create_target(Tool& tool, ConvertRequest& r, uint64_t bytes) {
  const BlockDriver* driver = tool.graph().find_driver(r.output_format);
  if (driver == nullptr) return report(Error(EINVAL, str_cat("Unknown file format '", r.output_format, "'")));
  if (driver->co_create == nullptr)
    return report(
        Error(ENOTSUP, str_cat("Format driver '", r.output_format, "' does not support image creation")));
  OptionTree tree;
  for (const std::string& text : r.options) {
    Result<OptionTree> parsed = parse_tool_options(text, nullptr);
    if (!parsed) return report(parsed.error());
    for (const OptionTree::Entry& e : parsed->entries()) tree.set(e.key, e.value);
  }
  tree.set_default("size", str_cat(bytes), OptionOrigin::kDefault);
  if (!r.backing_file.empty()) {
    if (!driver->supports_backing)
      return report(
          Error(EINVAL, str_cat("Backing file not supported for file format '", r.output_format, "'")));
    tree.set("backing_file", r.backing_file);
    if (r.backing_format.empty() && !tree.has("backing_fmt"))
      return report(Error(EINVAL, "Use of backing file requires explicit backing format"));
    if (!r.backing_format.empty()) tree.set("backing_fmt", r.backing_format);
  }
  Result<> made =
      tool.run(co_create_image_file(tool.graph(), r.output_format, r.target.name, std::move(tree)));
  if (!made)
    return report(std::move(made).error().prepend(
        str_cat(r.target.name, ": error while converting ", r.output_format, ": ")));
  return 0;
}

}  // namespace

int cmd_convert(Tool& tool, int argc, char** argv) {
  ConvertRequest r;
  bool done = false;
  if (const int status = parse(r, argc, argv, tool, done); done) return status;
  std::vector<std::unique_ptr<ToolImage>> sources;
  uint64_t bytes = 0;
  for (const std::string& name : r.sources) {
    r.source.name = name;
    Result<std::unique_ptr<ToolImage>> image = tool.open(r.source);
    if (!image) return report(image.error());
    if (!r.snapshot.empty())
      if (Result<> shown = show_snapshot(tool, r.snapshot, **image); !shown) return report(shown.error());
    bytes += (*image)->bytes();
    sources.push_back(std::move(*image));
  }
  if (r.bitmaps && sources.size() > 1)
    return report(Error(EINVAL, "Copying bitmaps only possible with single source"));
  if (r.bitmaps && !sources[0]->node().supports_persistent_bitmaps())
    return report(Error(ENOTSUP, "Source lacks bitmap support"));
  if (r.bitmaps && r.output_format != "qcow2" && !r.target.image_opts)
    return report(Error(ENOTSUP, str_cat("Format driver '", r.output_format, "' does not support bitmaps")));
  if (!r.no_create)
    if (const int status = create_target(tool, r, bytes); status != 0) return status;
  if (!r.target.image_opts) r.target.format = r.output_format;
  r.target.writable = r.target.resizable = true;
  Result<std::unique_ptr<ToolImage>> target = tool.open(r.target);
  if (!target) return report(target.error());
  if (r.copy.compressed && (*target)->node().driver().name != "qcow2")
    return report(Error(ENOTSUP, "Compression not supported for this file format"));
  if ((*target)->bytes() < bytes) return report(Error(EINVAL, "output file is smaller than input file"));
  r.copy.target_has_backing = (*target)->node().backing() ? true : false;
  if (!r.no_create && !r.copy.target_has_backing) r.copy.target_is_zero = true;
  r.copy.quiet = r.quiet;
  Progress bar(r.progress);
  std::vector<BlockBackend*> disks;
  for (const auto& source : sources) disks.push_back(&source->backend());
  Result<uint64_t> to_move = tool.run(co_count_data(disks, (*target)->backend(), r.copy));
  if (!to_move) return report(to_move.error());
  Result<> copied =
      tool.run(co_copy(disks, (*target)->backend(), r.copy, [&](uint64_t n) { bar.set(n, *to_move); }));
  if (!copied) {
    bar.end(false);
    return report(copied.error());
  }
  if (r.bitmaps)
    if (Result<> kept =
            tool.run(co_copy_bitmaps(sources[0]->node(), (*target)->node(), r.skip_broken_bitmaps));
        !kept) {
      bar.end(false);
      return report(kept.error());
    }
  if (Result<> flushed = tool.run((*target)->backend().co_flush()); !flushed) return report(flushed.error());
  bar.end(true);
  return 0;
}

namespace {
struct DdRequest {
  std::string in, out, output_format = "raw";
  uint64_t block = 512, count = UINT64_MAX, skip = 0;
};

int parse_operand(DdRequest& r, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string key = text.substr(0, equals),
                    value = equals == std::string::npos ? "" : text.substr(equals + 1);
  uint64_t n = 0;
  if (key == "if") {
    r.in = value;
  } else if (key == "of") {
    r.out = value;
  } else if (key == "bs" || key == "count" || key == "skip") {
    if (!parse_size(value, n) || (key == "bs" && (n == 0 || n > INT32_MAX)))
      return report(Error(EINVAL, str_cat("invalid number: '", value, "'")));
    (key == "bs" ? r.block : key == "count" ? r.count : r.skip) = n;
  } else {
    return usage_error(str_cat("unrecognized operand ", text));
  }
  return 0;
}
}  // namespace

int cmd_dd(Tool& tool, int argc, char** argv) {
  DdRequest r;
  ImageRequest from;
  Options options(tool, from, argc, argv, "f:O:U");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'O':
        r.output_format = options.value();
        break;
    }
  }
  for (int i = options.index(); i < argc; ++i)
    if (const int status = parse_operand(r, argv[i]); status != 0) return status;
  if (r.in.empty() || r.out.empty()) return usage_error("Must specify both input and output files");
  from.name = r.in;
  Result<std::unique_ptr<ToolImage>> source = tool.open(from);
  if (!source) return report(source.error());
  const uint64_t size = (*source)->bytes();
  const uint64_t skip = r.skip > size / r.block ? size : r.skip * r.block;
  if (r.skip > size / r.block) error_report(str_cat(r.in, ": cannot skip to specified offset"));
  uint64_t bytes = size - std::min(skip, size);
  if (r.count < bytes / r.block + 1) bytes = std::min(bytes, r.count * r.block);
  OptionTree tree;
  tree.set("size", str_cat(bytes));
  Result<> made = tool.run(co_create_image_file(tool.graph(), r.output_format, r.out, std::move(tree)));
  if (!made)
    return report(std::move(made).error().prepend(
        str_cat(r.out, ": error while creating output image of type ", r.output_format, ": ")));
  ImageRequest to;
  to.name = r.out;
  to.format = r.output_format;
  to.writable = to.resizable = true;
  Result<std::unique_ptr<ToolImage>> target = tool.open(to);
  if (!target) return report(target.error());
  CopyOptions copy;
  copy.skip = std::min(skip, size);
  copy.length = bytes;
  copy.target_is_zero = true;
  BlockBackend* const disks[] = {&(*source)->backend()};
  Result<> copied = tool.run(co_copy(disks, (*target)->backend(), copy, [](uint64_t) {}));
  return copied ? 0 : report(copied.error());
}

}  // namespace rhea::img
