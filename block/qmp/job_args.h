// What the commands that start jobs have in common.
#pragma once

#include "block/jobs/block_job.h"

namespace rhea {

/// The root of a disk, by the name of its drive or node. "Device has no medium".
Result<BlockDriverState*> root_node(const BlockGraph& graph, const std::string& device);
Result<BlockJobOptions> job_options(std::string id, bool auto_finalize, bool auto_dismiss, int64_t speed);

/// The id is checked later, with the rest of the job.
template <class Args>
Result<BlockJobOptions> job_options(const Args& args, const BlockDriverState& node) {
  return job_options(args.job_id ? *args.job_id : drive_name(node), args.auto_finalize.value_or(true),
                     args.auto_dismiss.value_or(true), args.speed.value_or(0));
}

}  // namespace rhea
