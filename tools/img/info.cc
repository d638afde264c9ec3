// rhea-img info, map.
#include <cinttypes>
#include <cstdio>
#include <set>

#include "block/graph/io.h"
#include "tools/img/image_info.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

int cmd_info(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"output", required_argument, nullptr, kOutput},
                                     {"backing-chain", no_argument, nullptr, kBackingChain}};
  ImageRequest request;
  bool json = false, chain = false;
  Options options(tool, request, argc, argv, "f:U", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case kBackingChain:
        chain = true;
        break;
      case kOutput: {
        const std::optional<bool> o = parse_output(options.value());
        if (!o) return 1;
        json = *o;
        break;
      }
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  request.name = argv[options.index()];
  request.no_backing = true;
  std::vector<ImageReport> all;
  std::set<std::string> seen;
  for (;;) {
    if (!seen.insert(request.name).second)
      return report(Error(ELOOP, str_cat("Backing file '", request.name, "' creates an infinite loop.")));
    Result<std::unique_ptr<ToolImage>> image = tool.open(request);
    if (!image) return report(image.error());
    Result<ImageReport> one = describe(tool, **image);
    if (!one) return report(one.error());
    all.push_back(std::move(*one));
    const ImageReport& last = all.back();
    if (!chain || last.backing_name.empty()) break;
    if (last.full_backing_name.empty())
      return report(
          Error(EINVAL, str_cat("Could not determine the backing file name of '", last.filename, "'")));
    const bool force = request.force_share;
    request = ImageRequest{};
    request.name = last.full_backing_name;
    request.format = last.backing_format;
    request.force_share = force;
    request.no_backing = true;
  }
  std::string text;
  if (json && chain) {
    Json list = Json::array();
    for (const ImageReport& r : all) list.push_back(to_json(r));
    list.write_pretty(text);
    text += "\n";
  } else if (json) {
    to_json(all.front()).write_pretty(text);
    text += "\n";
  } else {
    for (const ImageReport& r : all) str_append(text, text.empty() ? "" : "\n", to_text(r));
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

namespace {

struct MapEntry {
  uint64_t start = 0, length = 0;
  BlockStatus status;
  int depth = 0;
  std::string filename;
};

/// The node of the chain that answers for the run at `offset`, and what it says.
CoResult<MapEntry> info_co_look(BlockDriverState& top, ByteRange range) {
  BlockDriverState* node = &top;
  MapEntry e;
  e.start = range.offset;
  for (;; ++e.depth) {
    e.status = co_await or_return(co_await co_node_block_status(*node, range));
    if (e.status.bytes == 0) {  // behind the end of a shorter backing file: zeroes up to the end
      e.status.bytes = range.bytes;
      e.status.zero = true;
      e.status.data = false;
      e.status.allocated = false;
      break;
    }
    range.bytes = e.status.bytes;
    if (e.status.allocated || !node->backing()) break;
    node = &node->backing().node();
  }
  e.length = range.bytes;
  if (e.status.offset_valid)
    e.filename = (e.status.host_node != nullptr ? e.status.host_node : node)->filename();
  co_return e;
}

bool joins(const MapEntry& a, const MapEntry& b) {
  return a.status.zero == b.status.zero && a.status.data == b.status.data &&
         a.status.allocated == b.status.allocated && a.depth == b.depth &&
         a.status.compressed == b.status.compressed && a.status.offset_valid == b.status.offset_valid &&
         a.filename == b.filename &&
         (!a.status.offset_valid || a.status.host_offset + a.length == b.status.host_offset);
}

int print_entry(const MapEntry& e, const MapEntry* next, bool json) {
  if (json) {
    std::printf("{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
                ", \"depth\": %d, \"present\": %s, \"zero\": %s, \"data\": %s",
                e.start, e.length, e.depth, e.status.allocated ? "true" : "false",
                e.status.zero ? "true" : "false", e.status.data ? "true" : "false");
    if (e.status.offset_valid) std::printf(", \"offset\": %" PRIu64, e.status.host_offset);
    std::printf(next != nullptr ? "},\n" : "}");
    return 0;
  }
  if (e.status.data && !e.status.offset_valid) {
    error_report("File contains external, encrypted or compressed clusters.");
    return 1;
  }
  if (e.status.data && !e.status.zero)
    std::printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e.start, e.length, e.status.host_offset,
                e.filename.c_str());
  return 0;
}

}  // namespace

int cmd_map(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"output", required_argument, nullptr, kOutput},
                                     {"start-offset", required_argument, nullptr, 's'},
                                     {"max-length", required_argument, nullptr, 'l'}};
  ImageRequest request;
  bool json = false;
  uint64_t start = 0, most = UINT64_MAX;
  Options options(tool, request, argc, argv, "f:s:l:U", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 's':
        if (!parse_size(options.value(), start))
          return report(Error(
              EINVAL, str_cat("Invalid start offset specified! You must use k, M, G, T, P or E suffixes for "
                              "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.")));
        break;
      case 'l':
        if (!parse_size(options.value(), most))
          return report(Error(
              EINVAL, str_cat("Invalid max length specified! You must use k, M, G, T, P or E suffixes for "
                              "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.")));
        break;
      case kOutput: {
        const std::optional<bool> o = parse_output(options.value());
        if (!o) return 1;
        json = *o;
        break;
      }
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  request.name = argv[options.index()];
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  const uint64_t end =
      most < UINT64_MAX - start ? std::min((*image)->bytes(), start + most) : (*image)->bytes();
  if (json)
    std::printf("[");
  else
    std::printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
  std::optional<MapEntry> current;
  for (uint64_t at = start; at < end;) {
    Result<MapEntry> next = tool.run(info_co_look((*image)->node(), ByteRange(at, end - at)));
    if (!next) return report(Error(next.error()).prepend("Failed to read image metadata: "));
    at += next->length;
    if (current && joins(*current, *next)) {
      current->length += next->length;
      continue;
    }
    if (current && print_entry(*current, &*next, json) != 0) return 1;
    current = std::move(*next);
  }
  if (current && print_entry(*current, nullptr, json) != 0) return 1;
  if (json) std::printf("]\n");
  return 0;
}

}  // namespace rhea::img
