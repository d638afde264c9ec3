// Jobs along a backing chain: block-stream (from below into an image), block-commit (from an image into one
// below).
#pragma once

#include "block/jobs/block_job.h"

namespace rhea {

struct ChainJobOptions {
  ChainJobOptions() = default;
  BlockJobOptions block;
  std::string filter_name;   ///< empty: generated, and not shown by query-block
  std::string backing_file;  ///< what the image above is to remember; empty: the base's name
};

/// Copies what lies between `top` and `base` (null: everything below) into `top`, which then lies on `base`.
CoResult<> co_start_stream(JobSet& jobs, NodeRef top, NodeRef base, ChainJobOptions options);

/// Copies what lies above `base` up to `top` into `base`; what lay on `top` then lies on `base`. `top` is not
/// written to by anybody.
CoResult<> co_start_commit(JobSet& jobs, NodeRef active, NodeRef top, NodeRef base, ChainJobOptions options);

/// Makes a node writable or read-only if it is not so.
CoResult<> co_set_read_only(BlockGraph& graph, NodeRef node, bool read_only);
/// Makes the image `overlay` remember `base` (null: none) as its backing file, by `name` if that is given.
CoResult<> co_write_backing_name(BlockGraph& graph, NodeRef overlay, const BlockDriverState* base,
                                 const std::string& name);

}  // namespace rhea
