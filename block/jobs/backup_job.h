// Backups: a copy of a disk as it was when the job began. What the guest is about to overwrite is copied
// first.
#pragma once

#include "block/jobs/block_job.h"

namespace rhea {

struct BackupOptions {
  BackupOptions() = default;
  BlockJobOptions block;
  enum class Sync : uint8_t { kFull, kTop, kNone, kBitmap } sync = Sync::kFull;
  std::shared_ptr<DirtyBitmap>
      bitmap;  ///< of the source; says what to copy with kBitmap, and is brought up to date
  BitmapSyncMode bitmap_mode = BitmapSyncMode::kNever;
  std::string filter_name;  ///< empty: generated, and not shown by query-block
};

/// A backup that is there but has not begun. Main loop.
class BackupJob;
CoResult<std::shared_ptr<Job>> co_make_backup(JobSet& jobs, GraphWriteLock& lock, NodeRef source,
                                              NodeRef target, BackupOptions options);
/// Takes it back before it has begun.
CoResult<> co_discard_backup(JobSet& jobs, GraphWriteLock& lock, Job& job);

}  // namespace rhea
