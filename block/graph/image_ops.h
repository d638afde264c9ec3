// What can be asked of an image besides reading and writing: its particulars, checks, snapshots, creation.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "block/graph/options.h"
#include "util/coroutine.h"
#include "util/json.h"

namespace rhea {

class BlockGraph;

/// An internal snapshot as it is shown.
struct ImageSnapshot {
  std::string id, name;
  uint64_t vm_state_bytes = 0;
  uint32_t date_s = 0, date_ns = 0;  ///< since 1970, UTC
  uint64_t vm_clock_ns = 0;
  uint64_t icount = UINT64_MAX;  ///< all ones: unknown
  uint64_t disk_bytes = 0;
};

/// What a format knows about its image.
struct ImageDetails {
  uint64_t cluster_bytes = 0;    ///< 0: there are none
  uint64_t vm_state_offset = 0;  ///< 0: no room for machine state
  bool dirty = false;            ///< not closed in order
  bool encrypted = false;
  bool compressed = false;
  std::vector<ImageSnapshot> snapshots;
  Json specific;  ///< null, or what ImageInfoSpecific shows: {"type": …, "data": {…}}
};

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

/// An option of image creation, as people give it with -o.
struct CreateOption {
  enum class Type : uint8_t { kSize, kNumber, kBool, kString };
  std::string_view name;
  Type type;
  std::string_view help;
  std::string_view default_value = {};  ///< empty: none
};

/// How a new image's clusters are laid out beforehand.
enum class Preallocation : uint8_t { kOff, kMetadata, kFalloc, kFull };
/// "Invalid parameter '%s'" for another text.
Result<Preallocation> parse_preallocation(std::string_view text);

/// Makes a new image of the format or protocol `driver` named `filename`, over what is there. `options` as in
/// create_options; what is left over is offered to the protocol below. Main loop.
CoResult<> co_create_image_file(BlockGraph& graph, std::string_view driver, std::string filename,
                                OptionTree options);

}  // namespace rhea
