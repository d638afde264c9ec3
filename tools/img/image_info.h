// What `info` shows of an image, for people and as JSON.
#pragma once

#include "tools/common/tool.h"

namespace rhea::img {

struct ImageReport {
  std::string filename, format;
  uint64_t virtual_bytes = 0;
  std::optional<uint64_t> actual_bytes;
  ImageDetails details;
  std::string backing_name, full_backing_name, backing_format;
};

/// Everything that can be said of the open image.
Result<ImageReport> describe(Tool& tool, ToolImage& image);
Json to_json(const ImageReport& report);
std::string to_text(const ImageReport& report);
/// "Snapshot list:" and what follows it.
std::string snapshot_list(const std::vector<ImageSnapshot>& snapshots);
/// "    compat: 1.1" and so on.
std::string specific_text(const Json& specific);

}  // namespace rhea::img
