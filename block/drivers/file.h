// file, host_device, host_cdrom: a node whose bytes are those of a file or device of the host.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <string>

#include "block/aio/engine.h"
#include "block/graph/block_driver_state.h"
#include "util/unique_fd.h"

namespace rhea {

class FileNode : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext& ctx) override;
  CoResult<> co_close() override;
  void refresh_limits(BlockLimits& limits) const override;
  std::string exact_filename() const override { return path_; }

  CoResult<> co_check_perm(PermPair perms) override;
  CoResult<> co_commit_perm() override;
  CoResult<> co_abort_perm() override;
  bool perm_commit_needs_drain() const override { return static_cast<bool>(next_fd_); }

  CoResult<> co_preadv(ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override;
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override;
  bool zeroes_fast(ByteRange) const override { return can_punch_ || can_zero_range_; }
  CoResult<> co_pdiscard(ByteRange range) override;
  std::optional<DiscardStats> discard_stats() const override {
    return DiscardStats{discards_done_.load(), discards_failed_.load(), discarded_bytes_.load()};
  }
  CoResult<> co_flush() override;
  CoResult<BlockStatus> co_block_status(ByteRange range) override;
  bool grows_by_writing() const override { return !is_block_device_; }
  CoResult<uint64_t> co_getlength() override;
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override;
  CoResult<uint64_t> co_allocated_size() override;
  CoResult<> co_invalidate_cache() override;

 protected:
  /// Whether what `st` describes is for this driver. Pool thread.
  virtual Result<> check_type(const struct stat& st) const;
  /// Extra flags for open().
  virtual int open_flags() const { return 0; }
  int fd() const { return fd_.get(); }

 private:
  enum class Locking : uint8_t { kAuto, kOn, kOff };
  Result<> take_options(OptionTree& options);
  Result<UniqueFd> open_path(bool writable) const;
  Result<> open_and_inspect();
  void probe_direct_alignment();
  bool is_cached() const;
  bool dynamic_access() const { return flags_.auto_read_only && !flags_.read_only; }
  Result<AioEngine*> engine() const { return aio_engine(aio_); }

  std::string path_;
  AioKind aio_ = AioKind::kThreads;
  Locking locking_ = Locking::kAuto;
  bool drop_cache_ = true;
  bool check_cache_dropped_ = false;
  bool is_block_device_ = false;
  uint32_t alignment_ = 1;
  uint32_t memory_alignment_ = 1;
  UniqueFd fd_;
  bool writable_ = false;  ///< how fd_ was opened
  bool direct_ = false;    ///< the same
  PermPair locked_;        ///< what is locked on fd_
  std::atomic<int> flush_error_{0};
  std::atomic<uint64_t> discards_done_{0}, discards_failed_{0}, discarded_bytes_{0};
  std::atomic<bool> can_punch_{true}, can_zero_range_{true};

  // Between co_check_perm() and commit or abort.
  PermPair next_perms_;
  UniqueFd next_fd_;
  bool next_writable_ = false;
};

}  // namespace rhea
