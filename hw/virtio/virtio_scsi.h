// virtio-scsi: a controller of SCSI units. Spec: VIRTIO 1.2, section 5.6.
#pragma once

#include <memory>
#include <vector>

#include "hw/scsi/scsi_bus.h"
#include "hw/virtio/virtio_device.h"

namespace rhea {

class VirtioScsi final : public VirtioDevice, public ScsiHost {
 public:
  static const TypeInfo kCommonType;  ///< "virtio-scsi-common", abstract
  static const TypeInfo kType;        ///< "virtio-scsi-device"
  const TypeInfo& type() const override { return kType; }
  VirtioScsi();
  ~VirtioScsi() override;

  CoResult<> co_stop() override;
  const VMState* vmstate() const override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 8; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override { return 36; }
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;

  // ScsiHost
  void unit_arrived(ScsiDevice& unit) override;
  void unit_left(uint32_t target, uint32_t lun) override;
  void unit_changed(ScsiDevice& unit, const Sense& what) override;
  void resume(ScsiDevice& unit) override;
  void abandon(ScsiDevice& unit) override;
  void save_waiting(ScsiDevice& unit, StateWriter& out) override;
  Result<> load_waiting(ScsiDevice& unit, StateReader& in) override;

  // Properties.
  static constexpr uint32_t kAutoQueues = UINT32_MAX;
  uint32_t num_queues = kAutoQueues, queue_size = 256, max_sectors = 0xffff, cmd_per_lun = 128;
  bool seg_max_adjust = true, hotplug = true, param_change = true;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void forget_requests() override;
  bool is_quiet() const override { return in_flight_ == 0; }
  void kind_reset() override;
  Result<> kind_loaded(std::span<const uint8_t> config) override;

 private:
  static constexpr size_t kControlQueue = 0, kEventQueue = 1, kFirstCommandQueue = 2;
  static constexpr uint32_t kDefaultSenseBytes = 96, kDefaultCdbBytes = 32, kMostBytes = 256;
  struct Request;
  using RequestPtr = std::unique_ptr<Request>;
  /// A task management function that waits for the commands it ends.
  struct Task;
  struct Address {
    uint32_t target = 0, lun = 0;
    bool valid = false;
  };
  static Address address_of(const uint8_t* lun);
  /// The commands, at units or waiting, that are `wanted`.
  template <class F>
  std::vector<Request*> matching(F&& wanted) const;

  RequestPtr take_spare();
  /// Reads the header of the buffer; false if it is broken.
  bool parse(Request& request);
  void begin(RequestPtr request);
  void finish(RequestPtr request);
  void answer(Request& request, uint8_t response);
  void serve_commands(VirtioQueue& queue);
  void serve_control(VirtioQueue& queue);
  void manage(std::shared_ptr<Task> task);
  void end_commands(const std::shared_ptr<Task>& task, const std::vector<Request*>& ended, uint8_t response);
  void finish_task(Task& task, uint8_t response);
  void send_event(uint32_t event, const Address& from, uint32_t reason);

  std::shared_ptr<ScsiBus> scsi_bus_;
  std::vector<RequestPtr> spare_;
  std::vector<Request*> active_;     ///< at their units
  std::vector<RequestPtr> waiting_;  ///< failed, until the machine goes on; oldest first
  int in_flight_ = 0;                ///< commands at units
  uint64_t epoch_ = 0;
  uint32_t sense_bytes_ = kDefaultSenseBytes, cdb_bytes_ = kDefaultCdbBytes;
  bool events_missed_ = false;
  bool stopped_ = false;
  Gate gate_;
};

}  // namespace rhea
