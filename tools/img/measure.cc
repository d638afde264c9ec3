// rhea-img measure: how much room a new image would take.
#include <cinttypes>
#include <cstdio>

#include "block/drivers/qcow2/bitmaps.h"
#include "block/drivers/qcow2/measure.h"
#include "block/graph/io.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {

struct MeasureRequest {
  ImageRequest image;
  std::string output_format = "raw", snapshot;
  std::vector<std::string> options;
  std::optional<uint64_t> bytes;
  bool json = false;
};

/// Bytes of whole clusters that hold data in `top` or below it.
CoResult<uint64_t> co_data_bytes(BlockDriverState& top, uint64_t cluster) {
  uint64_t total = 0, counted_to = 0;
  for (uint64_t at = 0; at < top.total_bytes();) {
    ByteRange range(at, top.total_bytes() - at);
    BlockDriverState* n = &top;
    bool data = false;
    for (;;) {
      const BlockStatus s = co_await or_return(co_await co_node_block_status(*n, range));
      if (s.bytes == 0) break;
      range.bytes = s.bytes;
      data = s.data && !s.zero;
      if (s.allocated || !n->backing()) break;
      n = &n->backing().node();
    }
    if (data) {
      const uint64_t first = std::max(at / cluster * cluster, counted_to);
      const uint64_t end = (range.end() + cluster - 1) / cluster * cluster;
      if (end > first) total += end - first;
      counted_to = std::max(counted_to, end);
    }
    at = range.end();
  }
  co_return total;
}

int print_sizes(uint64_t required, uint64_t full, bool json, std::optional<uint64_t> bitmaps = std::nullopt) {
  if (json) {
    Json out = Json::object();
    out.set("required", required);
    out.set("fully-allocated", full);
    if (bitmaps) out.set("bitmaps", *bitmaps);
    std::string text;
    out.write_pretty(text);
    std::printf("%s\n", text.c_str());
  } else {
    std::printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", required, full);
    if (bitmaps) std::printf("bitmaps size: %" PRIu64 "\n", *bitmaps);
  }
  return 0;
}

int measure(Tool& tool, MeasureRequest& r) {
  const BlockDriver* driver = tool.graph().find_driver(r.output_format);
  if (driver == nullptr) return report(Error(EINVAL, str_cat("Unknown file format '", r.output_format, "'")));
  OptionTree tree;
  for (const std::string& text : r.options) {
    Result<OptionTree> parsed = parse_tool_options(text, nullptr);
    if (!parsed) return report(parsed.error());
    for (const OptionTree::Entry& e : parsed->entries()) tree.set(e.key, e.value);
  }
  std::unique_ptr<ToolImage> image;
  if (!r.bytes) {
    Result<std::unique_ptr<ToolImage>> opened = tool.open(r.image);
    if (!opened) return report(opened.error());
    image = std::move(*opened);
    if (!r.snapshot.empty())
      if (Result<> shown = show_snapshot(tool, r.snapshot, *image); !shown) return report(shown.error());
    r.bytes = image->bytes();
  }
  const uint64_t bytes = (*r.bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  if (r.output_format == "raw") return print_sizes(bytes, bytes, r.json);  // holes are not counted on
  if (r.output_format != "qcow2")
    return report(
        Error(ENOTSUP, str_cat("Block driver '", r.output_format, "' does not support size measurement")));
  tree.set("size", str_cat(bytes));
  Result<qcow2::Measure> m = qcow2::measure(tree);
  if (!m) return report(m.error());
  uint64_t data = 0;
  if (image) {
    Result<uint64_t> n = tool.run(co_data_bytes(image->node(), m->cluster_bytes));
    if (!n) return report(n.error());
    data = *n;
  }
  if (m->preallocated) data = m->data_bytes;
  std::optional<uint64_t> bitmaps;  // of an image that can have some
  if (image && image->node().supports_persistent_bitmaps())
    bitmaps = qcow2::measure_bitmaps(image->node().bitmaps(), m->cluster_bytes);
  return print_sizes(m->metadata_bytes + data, m->metadata_bytes + m->data_bytes, r.json, bitmaps);
}

}  // namespace

int cmd_measure(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"output", required_argument, nullptr, kOutput},
                                     {"size", required_argument, nullptr, kSizeOption}};
  MeasureRequest r;
  Options options(tool, r.image, argc, argv, "f:l:o:O:U", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'l':
        r.snapshot = options.value();
        break;
      case 'o':
        r.options.emplace_back(options.value());
        break;
      case 'O':
        r.output_format = options.value();
        break;
      case kOutput: {
        const std::optional<bool> o = parse_output(options.value());
        if (!o) return 1;
        r.json = *o;
        break;
      }
      case kSizeOption: {
        uint64_t n = 0;
        if (!parse_size(options.value(), n) || n > INT64_MAX)
          return report(Error(
              EINVAL, str_cat("Invalid image size specified. You must use k, M, G, T, P or E suffixes for "
                              "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.")));
        r.bytes = n;
        break;
      }
    }
  }
  if (argc - options.index() > 1) return usage_error("At most one filename argument is allowed.");
  if (argc - options.index() == 1) {
    if (r.bytes) return usage_error("--size N cannot be used together with a filename.");
    r.image.name = argv[options.index()];
  } else if (!r.bytes) {
    return usage_error("Either --size N or one filename must be specified.");
  } else if (r.image.image_opts || !r.image.format.empty() || !r.snapshot.empty()) {
    return report(Error(EINVAL, "--image-opts, -f, or -l can only be used with a filename argument."));
  }
  return measure(tool, r);
}

}  // namespace rhea::img
