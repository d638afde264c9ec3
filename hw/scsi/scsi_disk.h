// What SCSI hard disks and CD drives have in common: backend, identity, failed requests. Spec: SPC-4
// (T10/1731-D).
#pragma once

#include <functional>
#include <string>

#include "hw/block/block_conf.h"
#include "hw/scsi/scsi_bus.h"

namespace rhea {

class ScsiDisk : public ScsiDevice, public BlockDevOps {
 public:
  static const TypeInfo kType;  ///< "scsi-disk-base", abstract
  const TypeInfo& type() const override { return kType; }
  ~ScsiDisk() override;

  BlockBackend* block_backend() override { return hold_.get(); }
  int32_t boot_index() const override { return conf.bootindex; }
  std::string fw_name() const override;
  const VMState* vmstate() const override;

  // BlockDevOps
  void machine_resumed() override { host().resume(*this); }
  bool is_busy() const override { return busy(); }

  // Properties.
  BlockConf conf;
  std::string version, serial, vendor, product, device_id;
  uint64_t wwn = 0, port_wwn = 0;
  uint16_t port_index = 0;
  uint64_t max_io_size = INT32_MAX;
  int32_t scsi_version = 5;
  // Hard disks.
  bool removable = false, dpofua = false;
  uint64_t max_unmap_size = uint64_t{1} << 30;
  uint16_t rotation_rate = 0;

  CoResult<> co_stop() override;

  /// What travels beside the attention.
  struct Wire;

 protected:
  CoResult<> co_prepare_disk(DeviceContext& context, BlockNeeds needs);
  Result<> do_realize() override;
  void do_unrealize() override;
  BlockBackend& blk() const { return *hold_.get(); }
  /// 0 disk, 5 CD.
  virtual uint8_t peripheral_type() const = 0;
  bool is_removable() const { return peripheral_type() != 0 || removable; }
  virtual void save_medium(Wire& wire) const = 0;
  virtual Result<> load_medium(const Wire& wire) = 0;

  void inquiry(ScsiCommand& command) const;
  /// A request of `command` failed: false if it is to go on as if it had not. Else the command has its
  /// outcome, or waits.
  bool request_failed(ScsiCommand& command, bool is_read, const Error& error);

  static const std::array<PropertyInfo, 24> kCdProperties;
  static const std::array<PropertyInfo, 34> kHdProperties;

 private:
  friend struct ScsiDiskWire;
  std::vector<uint8_t> standard_inquiry() const;
  std::vector<uint8_t> vital_page(uint8_t page) const;

  BlockHold hold_;
};

struct ScsiDisk::Wire {
  bool media_changed = false, media_event = false, eject_request = false, tray_open = false,
       tray_locked = false;
};

/// "scsi-hd".
class ScsiHd final : public ScsiDisk {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  uint32_t block_bytes() const override { return static_cast<uint32_t>(conf.logical_block_size); }
  void reset() override;

  // BlockDevOps
  void resize_cb() override { changed(sense::kCapacityChanged); }
  bool has_removable_media() const override { return removable; }
  Result<> change_media_cb(bool load) override;
  bool is_medium_locked() const override { return locked_; }

 protected:
  CoResult<> co_perform(ScsiCommand& command) override;
  Result<> do_realize() override;
  uint8_t peripheral_type() const override { return 0; }
  void save_medium(Wire& wire) const override;
  Result<> load_medium(const Wire& wire) override;

 private:
  uint64_t blocks() const;
  bool inside(const ScsiExtent& extent) const;
  bool may_write() const;
  /// Carries out what needs no storage; false if it is none of that.
  bool perform_now(ScsiCommand& command);
  /// MODE SENSE and MODE SELECT of 6 and 10 bytes.
  void mode_sense(ScsiCommand& command) const;
  void mode_select(ScsiCommand& command);
  std::vector<uint8_t> mode_pages(uint8_t page, unsigned control) const;
  bool check_mode_pages(std::span<const uint8_t> pages, Sense& why) const;
  void read_capacity(ScsiCommand& command) const;
  void read_capacity_long(ScsiCommand& command) const;
  bool check_extent(ScsiCommand& command, const ScsiExtent& extent, bool writes) const;
  CoResult<> co_read(ScsiCommand& command);
  CoResult<> co_write(ScsiCommand& command);
  CoResult<> co_flush(ScsiCommand& command);
  CoResult<> co_verify(ScsiCommand& command, bool after_write);
  CoResult<> co_write_same(ScsiCommand& command);
  CoResult<> co_write_pattern(ScsiCommand& command, ByteRange range);
  CoResult<> co_unmap(ScsiCommand& command);

  HdGeometry geometry_;
  bool locked_ = false;  ///< if removable: the guest prevents removal
};

}  // namespace rhea
