// virtio-blk: a disk. Spec: VIRTIO 1.2, section 5.2.
#pragma once

#include <memory>
#include <vector>

#include "hw/block/block_conf.h"
#include "hw/virtio/virtio_device.h"
#include "util/co_sync.h"

namespace rhea {

class VirtioBlk final : public VirtioDevice, public BlockDevOps {
 public:
  static const TypeInfo kType;  ///< "virtio-blk-device"
  static std::span<const PropertyInfo> properties();
  const TypeInfo& type() const override { return kType; }
  VirtioBlk();
  ~VirtioBlk() override;

  CoResult<> co_prepare(DeviceContext& context) override;
  CoResult<> co_stop() override;
  BlockBackend* block_backend() override { return hold_.get(); }
  int32_t boot_index() const override { return conf.bootindex; }

  // VirtioDevice
  uint16_t virtio_id() const override { return 2; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override { return 60; }
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;

  // BlockDevOps
  void resize_cb() override { config_changed(); }
  void drained_begin() override { ++drained_; }
  void drained_end() override {
    if (--drained_ == 0) serve_all();
  }

  // Properties.
  static constexpr uint16_t kAutoQueues = UINT16_MAX;
  BlockConf conf;
  std::string serial;
  bool config_wce = true, request_merging = true, seg_max_adjust = true, discard = true, write_zeroes = true,
       scsi = false;
  uint16_t num_queues = kAutoQueues, queue_size = 256;
  uint32_t max_discard_sectors = kMaxSectors, max_write_zeroes_sectors = kMaxSectors;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void forget_requests() override { ++epoch_; }
  bool is_quiet() const override { return in_flight_ == 0; }

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
  uint8_t failed(bool is_read, const Error& error);
  void finish(std::unique_ptr<Request> request, uint8_t status);

  BlockHold hold_;
  Gate gate_;
  int in_flight_ = 0;
  int drained_ = 0;
  bool stopped_ = false;
  uint64_t epoch_ = 0;  ///< requests of an earlier one are not given back
  std::vector<std::unique_ptr<Request>> spare_;
};

}  // namespace rhea
