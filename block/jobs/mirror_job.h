// MirrorJob: copies a disk to another node, follows its writes, and in the end puts the copy in its place.
// Also what block-commit does with the active image.
#pragma once

#include "block/jobs/block_job.h"
#include "block/jobs/copy_range.h"
#include "block/jobs/mirror_top.h"

namespace rhea {

struct MirrorOptions {
  MirrorOptions() = default;
  BlockJobOptions block;
  enum class Sync : uint8_t { kFull, kTop, kNone } sync = Sync::kFull;
  /// The target's content is unknown: what is zero in the source has to be written too.
  bool zero_target = true;
  uint64_t granularity = 0;  ///< bytes; 0: the target's choice
  bool unmap = true;
  bool write_blocking = false;
  bool commit = false;  ///< the target is in the source's backing chain
  /// What the target's backing file becomes at the end: nothing changes, or the source's (sync=top) or the
  /// source itself (sync=none).
  bool take_over_backing = false;
  /// Or what the target's image names.
  bool open_backing = false;
  std::string replaces;     ///< a node to be replaced instead of the source
  std::string filter_name;  ///< empty: generated, and not shown by query-block
  std::string backing_file;
};

/// Starts it. The target must not be in use otherwise. Main loop.
CoResult<> co_start_mirror(JobSet& jobs, NodeRef source, NodeRef target, MirrorOptions options);

}  // namespace rhea
