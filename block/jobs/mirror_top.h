// mirror_top: stands above the source of a mirror. In write-blocking mode it writes to the target what it
// writes to the source; else the source's dirty bitmap tells the job what to copy again.
#pragma once

#include "block/graph/dirty_bitmap.h"
#include "block/jobs/job_filter.h"

namespace rhea {

class MirrorTop final : public JobFilter {
 public:
  PermPair child_perms(const BlockEdge& child, PermPair cumulative) const override;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override;
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override;
  CoResult<> co_pdiscard(ByteRange range) override;

  /// The target is below: consistent reads are not for the taking meanwhile.
  void set_commit() { commit_ = true; }
  /// From now on writes go to the child "target" too. `dirty` says what differs; `failed` hears of errors of
  /// the target. With no request in flight.
  void start_write_blocking(std::shared_ptr<DirtyBitmap> dirty, std::function<void(int errnum)> failed);
  /// The job copies one part at a time, with these writes kept away from it.
  RangeLock& copying() { return copying_; }

 private:
  const BdrvChild* target() const;
  ByteRange units(ByteRange range) const;
  void settle(ByteRange range, const Result<>& source, const Result<>& target);
  bool commit_ = false;
  std::shared_ptr<DirtyBitmap> dirty_;
  std::function<void(int)> failed_;
  RangeLock copying_;
};

extern const BlockDriver kMirrorTopDriver;

}  // namespace rhea
