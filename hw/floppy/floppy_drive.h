// A floppy drive and the bus it sits on: what disk is in it, of which format. The controller moves its head.
#pragma once

#include <array>
#include <functional>

#include "block/graph/block_backend.h"
#include "hw/block/block_conf.h"
#include "hw/floppy/floppy_format.h"

namespace rhea {

class FloppyBus;

class FloppyDrive final : public Device, public BlockDevOps {
 public:
  static const TypeInfo kType;  ///< "floppy"
  static constexpr uint32_t kAnyUnit = UINT32_MAX;
  const TypeInfo& type() const override { return kType; }
  ~FloppyDrive() override;
  const char* bus_type() const override { return "floppy-bus"; }
  bool hotpluggable() const override { return false; }
  CoResult<> co_prepare(DeviceContext& context) override;
  BlockBackend* block_backend() override { return hold_.get(); }
  std::string fw_name() const override;
  int32_t boot_index() const override;

  BlockBackend& backend() { return *hold_.get(); }
  /// What the disk in the drive looks like; null: none is in.
  const FloppyFormat* format() const { return format_; }
  /// True without a disk too.
  bool read_only() const { return read_only_; }

  // BlockDevOps
  bool has_removable_media() const override { return true; }
  Result<> change_media_cb(bool load) override;
  std::optional<PermPair> medium_perms(const BlockDriverState& medium) const override;

  // Properties.
  uint32_t unit = kAnyUnit;
  FloppyDriveType drive_type = FloppyDriveType::kAuto;  ///< after realize never kAuto
  BlockConf conf;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  FloppyBus& floppy_bus() const;
  PermPair perms(bool writes) const;
  void look_at_disk();

  BlockHold hold_;
  const FloppyFormat* format_ = nullptr;
  bool read_only_ = true;
};

/// "floppy-bus.N": two drives.
class FloppyBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "floppy-bus"
  static constexpr unsigned kDrives = 2;
  explicit FloppyBus(std::string bus_name) : Bus(std::move(bus_name)) {}
  const TypeInfo& type() const override { return kType; }
  const char* bus_kind() const override { return "floppy-bus"; }

  /// The drive of unit `n`, 0 or 1; null: none.
  FloppyDrive* drive(unsigned n) const { return drives_[n]; }
  /// Set by the controller: the type of a drive that is to choose and has no disk to go by; boot indexes.
  FloppyDriveType fallback = FloppyDriveType::k288;
  std::array<int32_t, kDrives> bootindex{-1, -1};
  /// Called when a disk comes or goes.
  std::function<void(unsigned unit)> on_disk_changed;

 protected:
  /// "Can't create floppy unit 2, bus supports only 2 units", "Floppy unit 0 is in use".
  Result<> check_address(Device& device) override;
  void device_left(const Device* device) override;

 private:
  std::array<FloppyDrive*, kDrives> drives_{};
};

}  // namespace rhea
