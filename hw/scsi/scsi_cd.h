// CD/DVD drive on a SCSI bus ("scsi-cd"): an AtapiUnit with the commands that only SCSI hosts send. Spec:
// MMC-5 (T10/1675D), SPC-4 (T10/1731-D).
#pragma once

#include "hw/scsi/atapi.h"
#include "hw/scsi/scsi_disk.h"

namespace rhea {

class ScsiCd final : public ScsiDisk {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  uint32_t block_bytes() const override { return kCdSectorBytes; }
  void reset() override;
  const AtapiUnit& unit() const { return unit_; }

  // BlockDevOps
  bool has_removable_media() const override { return true; }
  bool has_tray() const override { return true; }
  Result<> change_media_cb(bool load) override;
  void eject_request_cb(bool force) override { unit_.tray.host_eject_request(force); }
  bool is_tray_open() const override { return unit_.tray.open(); }
  bool is_medium_locked() const override { return unit_.tray.locked(); }
  bool eject_request_pending() const override { return unit_.tray.state().eject_pending; }

 protected:
  CoResult<> co_perform(ScsiCommand& command) override;
  Result<> do_realize() override;
  void do_unrealize() override;
  uint8_t peripheral_type() const override { return 5; }
  void save_medium(Wire& wire) const override;
  Result<> load_medium(const Wire& wire) override;

 private:
  /// Has the unit decide; true if a plan of sectors is to be read then.
  bool decide(ScsiCommand& command, ReadPlan& plan);
  bool plan_blocks(ScsiCommand& command, ReadPlan& plan);
  void short_mode_sense(ScsiCommand& command) const;
  CoResult<> co_read(ScsiCommand& command, ReadPlan plan);
  CoResult<> co_read_raw(ScsiCommand& command, ReadPlan plan);

  AtapiUnit unit_;
};

}  // namespace rhea
