// The block layer's commands of the human monitor. (eject and change are built from the QMP commands, in
// monitor/.)
#pragma once

#include "qapi/hmp_registry.h"

namespace rhea {

/// Adds info block.
void register_block_hmp(HmpRegistry& registry);
/// Adds drive_add and drive_del.
void register_drive_hmp(HmpRegistry& registry);

/// Adds info block-jobs, block_stream, block_job_cancel and its like, drive_mirror, drive_backup,
/// snapshot_blkdev, snapshot_blkdev_internal, snapshot_delete_blkdev_internal.
void register_job_hmp(HmpRegistry& registry);

/// Adds info blockstats.
void register_blockstats_hmp(HmpRegistry& registry);
/// Adds block_set_io_throttle.
void register_throttle_hmp(HmpRegistry& registry);
/// Adds qemu-io.
void register_qemu_io_hmp(HmpRegistry& registry);

}  // namespace rhea
