// virtio-blk: a disk. Spec: VIRTIO 1.2, section 5.2.
#pragma once

#include <memory>
#include <vector>

#include "backends/iothread.h"
#include "hw/block/block_conf.h"
#include "hw/virtio/iothread_mapping.h"
#include "hw/virtio/virtio_device.h"

namespace rhea {

class VirtioBlkLane;

class VirtioBlk final : public VirtioDevice, public BlockDevOps, public LegacyGeometrySource {
 public:
  static const TypeInfo kType;  ///< "virtio-blk-device"
  const TypeInfo& type() const override { return kType; }
  VirtioBlk();
  ~VirtioBlk() override;

  CoResult<> co_prepare(DeviceContext& context) override;
  CoResult<> co_stop() override;
  BlockBackend* block_backend() override { return hold_.get(); }
  std::string fw_name() const override { return "disk@0,0"; }
  int32_t boot_index() const override { return conf.bootindex; }
  HdGeometry legacy_geometry() const override { return conf.legacy_geometry(); }
  const VMState* vmstate() const override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 2; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override { return 57; }
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;

  // BlockDevOps
  void resize_cb() override { config_changed(); }
  void drained_begin() override;
  void drained_end() override;
  void requests_ended() override;
  void machine_resumed() override;
  bool is_busy() const override;

  AioContext* queue_loop(size_t n) const override;
  void doorbell(size_t n) override;
  /// Null if it was given none, or that is not in the tree any more.
  IoThread* iothread() const {
    return iothread_ != nullptr && iothread_->parent() != nullptr ? iothread_.get() : nullptr;
  }
  /// Only before it is realized.
  void set_iothread(std::shared_ptr<IoThread> thread) { iothread_ = std::move(thread); }

  // Properties.
  IoThreadMapping iothread_mapping;
  static constexpr uint16_t kAutoQueues = UINT16_MAX;
  BlockConf conf;
  std::string serial;
  bool config_wce = true, request_merging = true, seg_max_adjust = true, discard = true, write_zeroes = true,
       scsi = false, report_discard_granularity = true, wce_if_config_wce = true;
  uint16_t num_queues = kAutoQueues, queue_size = 256;
  uint32_t max_discard_sectors = kMaxSectors, max_write_zeroes_sectors = kMaxSectors;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override { doorbell(queue_number(queue)); }
  void kind_serving_changed(bool on) override;
  void forget_requests() override;
  bool is_quiet() const override;
  void driver_ready() override;
  void kind_reset() override;
  void save_kind(StateWriter& out) override;
  Result<> load_kind(StateReader& in, int version) override;
  Result<> kind_loaded(std::span<const uint8_t> config) override;

 private:
  friend class VirtioBlkLane;
  static constexpr uint32_t kMaxSectors = 0x3fffff;
  Result<> check_properties() const;
  uint64_t capacity_sectors() const;
  Result<> make_lanes();
  void drop_lanes();
  VirtioBlkLane& lane_of(size_t queue) const { return *lanes_[threads_.thread_of[queue]]; }
  /// Calls `fn` on the main loop, unless the device is gone by then. Any thread.
  void post_main(std::move_only_function<void(VirtioBlk&)> fn);

  BlockHold hold_;
  DeviceContext* context_ = nullptr;
  std::shared_ptr<IoThread> iothread_;
  AppliedMapping threads_;  ///< none where the loop is the machine's own; lane i is in thread i
  /// As long as the device is realized.
  std::vector<std::unique_ptr<VirtioBlkLane>> lanes_;
  uint64_t epoch_ = 0;        ///< requests of an earlier one are not given back
  bool original_wce_ = true;  ///< what a reset returns to
  HdGeometry geometry_;       ///< as shown to the driver
  struct SavedRequest {
    uint32_t queue = 0;
    SavedElement element;
  };
  std::vector<SavedRequest> loaded_;  ///< while state is being loaded
};

}  // namespace rhea
