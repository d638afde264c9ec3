// virtio-blk: a disk. Spec: VIRTIO 1.2, section 5.2.
#pragma once

#include <memory>
#include <vector>

#include "hw/block/block_conf.h"
#include "hw/virtio/virtio_device.h"
#include "util/co_sync.h"

namespace rhea {

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
  void drained_begin() override { ++drained_; }
  void drained_end() override;
  void machine_resumed() override;
  bool is_busy() const override { return in_flight_ != 0; }

  // Properties.
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
  void serve(VirtioQueue& queue) override;
  void forget_requests() override;
  bool is_quiet() const override { return in_flight_ == 0; }
  void driver_ready() override;
  void kind_reset() override;
  void save_kind(StateWriter& out) override;
  Result<> load_kind(StateReader& in, int version) override;
  Result<> kind_loaded(std::span<const uint8_t> config) override;

 private:
  static constexpr uint32_t kMaxSectors = 0x3fffff;
  struct Request;
  Result<> check_properties() const;
  uint64_t capacity_sectors() const;
  void start(std::unique_ptr<Request> request);
  CoResult<uint8_t> co_execute(Request& request);
  CoResult<uint8_t> co_transfer(Request& request, bool is_write);
  CoResult<uint8_t> co_ranges(Request& request, bool zeroes);
  uint8_t give_id(Request& request) const;
  /// What the driver is told of a failed request; kWaits: nothing, it is made again when the machine goes on.
  uint8_t failed(bool is_read, const Error& error);
  static constexpr uint8_t kWaits = 0xff;
  void finish(std::unique_ptr<Request> request, uint8_t status);
  std::unique_ptr<Request> take_spare();
  void try_again();

  BlockHold hold_;
  Gate gate_;
  int in_flight_ = 0;
  int drained_ = 0;
  bool stopped_ = false;
  uint64_t epoch_ = 0;        ///< requests of an earlier one are not given back
  bool retry_ = false;        ///< when the drain ends
  bool original_wce_ = true;  ///< what a reset returns to
  HdGeometry geometry_;       ///< as shown to the driver
  std::vector<std::unique_ptr<Request>> spare_;
  std::vector<std::unique_ptr<Request>> waiting_;  ///< failed, until the machine goes on; oldest first
  struct SavedRequest {
    uint32_t queue = 0;
    SavedElement element;
  };
  std::vector<SavedRequest> loaded_;  ///< while state is being loaded
};

}  // namespace rhea
