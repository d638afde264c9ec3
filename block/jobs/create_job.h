// blockdev-create: making an image as a job.
#pragma once

#include "block/jobs/job.h"

namespace rhea {

/// Starts it. "Job ID '%s' already in use", "Driver does not support blockdev-create".
Result<> start_create_job(JobSet& jobs, std::string id, BlockdevCreateOptions options);

}  // namespace rhea
