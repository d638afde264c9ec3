// Checking and repairing an image: counts every reference anew and compares.
#pragma once

#include <functional>
#include <map>

#include "block/drivers/qcow2/image.h"

namespace rhea::qcow2 {

struct CheckOptions {
  bool fix_leaks = false;
  bool fix_errors = false;
  /// Gets a line for each finding, without line feed.
  std::function<void(const std::string&)> report;
};

struct CheckResult {
  uint64_t corruptions = 0, leaks = 0, check_errors = 0;
  uint64_t corruptions_fixed = 0, leaks_fixed = 0;
  uint64_t total_clusters = 0, allocated_clusters = 0, fragmented_clusters = 0, compressed_clusters = 0;
  uint64_t image_end_offset = 0;
};

/// Nothing may be in flight; what is changed in memory must have been written. Fails only if it cannot work
/// at all.
CoResult<CheckResult> co_check(Image& image, CheckOptions options);

}  // namespace rhea::qcow2
