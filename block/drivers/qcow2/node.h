// The qcow2 driver's node: turns guest requests into steps on the tables and requests to the file.
#pragma once

#include "block/drivers/qcow2/bitmaps.h"
#include "block/drivers/qcow2/image.h"

namespace rhea::qcow2 {

class Qcow2Node final : public BlockDriverState {
 public:
  Qcow2Node() : image_(name(), file_, data_) {}

  uint32_t file_role(const OptionTree& options) const override;
  CoResult<> co_open(OpenContext& ctx) override;
  CoResult<> co_close() override;
  CoResult<> co_reopen_prepare(OptionTree& options, const OpenFlags& flags) override;
  void drop_overridden(const OptionTree& given, OptionTree& old) const override;
  void reopen_commit() override;
  void reopen_abort() override { bitmaps_unmarked_ = image_.writable(); }
  void refresh_limits(BlockLimits& limits) const override;

  CoResult<> co_preadv(ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override;
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override;
  CoResult<bool> co_pwrite_zeroes_part(ByteRange range) override;
  bool zeroes_fast(ByteRange) const override { return true; }  // but for parts of clusters
  CoResult<> co_pdiscard(ByteRange range) override;
  CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov) override;
  CoResult<> co_flush() override;
  CoResult<BlockStatus> co_block_status(ByteRange range) override;
  CoResult<uint64_t> co_getlength() override { co_return image_.header().virtual_bytes; }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override;

  /// Gives the clusters of [from, to) a place in the file; they read as before. kFalloc and kFull: with its
  /// space.
  CoResult<> co_preallocate(uint64_t from, uint64_t to, Preallocation how);
  CoResult<ImageDetails> co_details() override;
  CoResult<CheckResult> co_check(CheckOptions options) override;
  bool supports_snapshots() const override { return true; }
  CoResult<> co_snapshot_create(ImageSnapshot snapshot) override;
  CoResult<> co_snapshot_apply(const std::string& id) override;
  CoResult<> co_snapshot_load(const std::string& id) override;
  CoResult<> co_snapshot_delete(const std::string& id) override;
  CoResult<> co_load_vmstate(uint64_t at, IoVector iov) override;
  CoResult<> co_save_vmstate(uint64_t at, IoVector iov) override;
  CoResult<> co_make_empty() override;
  CoResult<> co_change_backing_name(BackingName name) override;
  CoResult<> co_amend(OptionTree& options) override;

  Image& image() { return image_; }

  // --- Persistent dirty bitmaps are among bitmaps(): loaded at open, stored at close.
  bool supports_persistent_bitmaps() const override { return true; }
  CoResult<> co_check_new_bitmap(const std::string& bitmap, uint64_t granularity) override;
  CoResult<> co_remove_stored_bitmap(const std::string& bitmap) override;

 private:
  Result<ImageOptions> take_options(OptionTree& options, const OpenFlags& flags);
  Result<uint32_t> take_overlap_check(OptionTree& options);
  uint64_t vm_state_offset() const;
  CoResult<Header> co_read_header();
  CoResult<> co_read_general(ByteRange range, IoVector iov);
  CoResult<> co_read_run(const Mapping& m, ByteRange range, IoVector iov);
  CoResult<> co_read_compressed(uint64_t entry, ByteRange range, IoVector iov);
  CoResult<> co_write_plan(WritePlan& plan, IoVector iov);
  CoResult<bool> co_reads_zero_below(ByteRange range);
  CoResult<bool> co_metadata_preallocated();
  CoResult<> co_write_after_event(const WritePlan& plan, IoVector iov);
  CoResult<> co_write_with_surroundings(const WritePlan& plan, IoVector iov);
  CoResult<> co_before_allocating();
  CoResult<> co_shrink(uint64_t bytes);
  CoResult<> co_downgrade();
  CoResult<> co_load_bitmaps();
  CoResult<> co_mark_bitmaps();
  CoResult<> co_store_bitmaps();
  Json bitmap_list();
  std::vector<std::shared_ptr<DirtyBitmap>> persistent_bitmaps() const;

  BdrvChild data_;  ///< the external data file, if the image has one
  Image image_;
  /// As the image's directory lists them. Changes under the image's mutex, or with nothing in flight.
  std::vector<StoredBitmap> stored_bitmaps_;
  CoMutex bitmaps_lock_;                        ///< marking them
  std::atomic<bool> bitmaps_unmarked_{false};   ///< the image may still say what they are
  std::atomic<int> metadata_preallocated_{-1};  ///< what co_metadata_preallocated() found; -1: not asked yet
  ImageOptions next_options_;                   ///< between co_reopen_prepare() and commit
};

}  // namespace rhea::qcow2
