// What the channel and a drive know of each other: the registers of one unit and the class of drives.
#pragma once

#include <cstdint>
#include <vector>

#include "hw/core/device.h"
#include "hw/ide/ata.h"

namespace rhea {

class IdeBus;
class IdeChannel;
class IdeDma;

/// The command block of one unit. ATA/ATAPI-6 chapter 7; the `hob_` values are what a register held before
/// its last write.
struct TaskFile {
  uint8_t feature = 0, error = 0;
  uint8_t sector_count = 0, lba_low = 0, lba_mid = 0, lba_high = 0;
  uint8_t hob_feature = 0, hob_sector_count = 0, hob_lba_low = 0, hob_lba_mid = 0, hob_lba_high = 0;
  uint8_t device = ata::kDeviceOnes;
  uint8_t status = 0;
  friend bool operator==(const TaskFile&, const TaskFile&) = default;
};

/// A data phase through the Data register: bytes [pos, end) of `data` are the block the guest moves now.
struct PioTransfer {
  static constexpr size_t kMaxBytes = 131072;
  /// What the drive does once the block is moved.
  enum class Then : uint8_t { kNothing, kPacket, kReply, kSectorsRead, kSectorsWritten };
  std::vector<uint8_t> data;
  size_t pos = 0, end = 0;
  bool from_host = false;
  Then then = Then::kNothing;
  void clear() { *this = PioTransfer(); }
};

class IdeDrive;

/// One of the two places on a channel. Registers are there without a drive too: they travel.
struct IdeUnit {
  TaskFile regs;
  PioTransfer pio;
  IdeDrive* drive = nullptr;
};

/// A drive of any kind ("ide-device"). Calls come from its channel, under the machine lock.
class IdeDrive : public Device {
 public:
  static const TypeInfo kType;  ///< abstract; property unit
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "IDE"; }
  bool hotpluggable() const override { return false; }
  std::string fw_name() const override;

  static constexpr uint32_t kAnyUnit = UINT32_MAX;
  uint32_t unit() const { return unit_; }
  void set_unit(uint32_t unit) { unit_ = unit; }

  /// Carries out a command other than EXECUTE DEVICE DIAGNOSTIC; false: it is not known, the channel aborts
  /// it.
  virtual bool execute(uint8_t command) = 0;
  /// DEVICE RESET is known to packet devices alone, and works while they are busy.
  virtual bool is_packet_device() const = 0;
  /// Moves the signature into the registers and sets what Status shows after a reset; ATA/ATAPI-6 9.12.
  virtual void set_signature() = 0;
  /// Gives up what is under way. Data on its way from the host's storage still arrives in memory: until then
  /// is_quiet() is false and the drive calls IdeChannel::drive_quiet() when it is.
  virtual void cancel() = 0;
  virtual bool is_quiet() const = 0;
  /// Bus reset, hardware or software, once quiet: modes and locks go back.
  virtual void bus_reset() = 0;
  /// The guest has moved the block of IdeUnit::pio.
  virtual void pio_done(PioTransfer::Then then) = 0;
  /// The host has started the bus master and this drive asked for it: move the data.
  virtual void dma_run(IdeDma& dma) = 0;
  /// The host stopped the bus master meanwhile; IdeDma::stopped() answers, at once or when data has arrived.
  virtual void dma_stop(IdeDma& dma) = 0;

 protected:
  IdeBus* ide_bus() const;
  IdeChannel& channel() const;
  IdeUnit& slot() const;

 private:
  static const PropertyInfo kProperties[];
  uint32_t unit_ = kAnyUnit;
};

}  // namespace rhea
