// The SCSI bus, its logical units, and what they ask of the controller they sit behind. Spec: SAM-5
// (T10/2104-D), SPC-4 (T10/1731-D). Machine lock.
#pragma once

#include <memory>
#include <vector>

#include "hw/core/device.h"
#include "hw/scsi/scsi_cdb.h"
#include "hw/scsi/sense.h"
#include "util/co_sync.h"
#include "util/iov.h"

namespace rhea {

class ScsiBus;
class ScsiDevice;

/// A command on its way through a logical unit. Its controller owns it, and the memory of the data.
struct ScsiCommand {
  ScsiCdb cdb{};
  IoVector out, in;  ///< from and to the initiator; at least as long as scsi_transfer() says

  // What it comes to.
  enum class Status : uint8_t { kGood = 0, kCheckCondition = 2 };  ///< SAM-5 5.3.1
  Status status = Status::kGood;
  Sense sense;
  uint64_t moved = 0;     ///< bytes of data
  bool waits = false;     ///< failed, and the machine has stopped for it: to be begun again when it goes on
  bool given_up = false;  ///< nobody wants to know any more: it may end early

  void good(uint64_t bytes = 0) {
    status = Status::kGood;
    moved = bytes;
  }
  void check(const Sense& failure) {
    status = Status::kCheckCondition;
    sense = failure;
  }
  /// The first `allocation` bytes of `data`, as far as there is room.
  void give(std::span<const uint8_t> data, uint64_t allocation);
};

/// The controller of a bus.
class ScsiHost {
 public:
  virtual ~ScsiHost() = default;
  /// A unit has come, or gone from this address, while the machine runs.
  virtual void unit_arrived(ScsiDevice& unit) = 0;
  virtual void unit_left(uint32_t target, uint32_t lun) = 0;
  /// Something of it has changed: `what` is a unit attention.
  virtual void unit_changed(ScsiDevice& unit, const Sense& what) = 0;
  /// Begins the unit's commands that wait again.
  virtual void resume(ScsiDevice& unit) = 0;
  /// The unit goes: its commands that wait are answered.
  virtual void abandon(ScsiDevice& unit) = 0;
  /// The unit's commands that wait, as they travel.
  virtual void save_waiting(ScsiDevice& unit, StateWriter& out) = 0;
  virtual Result<> load_waiting(ScsiDevice& unit, StateReader& in) = 0;
};

/// A logical unit.
class ScsiDevice : public Device {
 public:
  static const TypeInfo kType;  ///< "scsi-device", abstract
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "SCSI"; }
  CoResult<> co_stop() override;

  /// Carries `command` out. Its outcome is in the command; nothing is ever returned but success.
  CoResult<> co_execute(ScsiCommand& command);
  /// Answers in the unit's place what is sent to a number of its target that no unit has.
  static void execute_absent(ScsiBus& bus, uint32_t target, ScsiCommand& command);
  virtual uint32_t block_bytes() const = 0;
  /// False while it is being taken away.
  bool takes_commands() const { return !stopped_; }
  /// What the next command but a few is told first. A later one replaces one that waits.
  void set_attention(const Sense& what) { attention_ = what; }
  const Sense& attention() const { return attention_; }
  void reset() override { attention_ = sense::kPowerOn; }
  bool busy() const { return running_.count() != 0; }

  // Properties.
  static constexpr uint32_t kAnyNumber = UINT32_MAX;
  uint32_t channel = 0, target = kAnyNumber, lun = kAnyNumber;

 protected:
  virtual CoResult<> co_perform(ScsiCommand& command) = 0;
  Result<> do_realize() override;
  void do_unrealize() override;
  ScsiBus& scsi_bus() const;
  ScsiHost& host() const;
  /// Tells the initiator of a change, at once and with the next command.
  void changed(const Sense& what);

  Sense attention_;
  static const PropertyInfo kProperties[];

 private:
  Gate running_;
  bool stopped_ = false;
};

class ScsiBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "SCSI"
  const TypeInfo& type() const override { return kType; }
  static constexpr uint32_t kMaxTarget = 255, kMaxLun = 16383;
  ScsiBus(std::string name, ScsiHost& host) : Bus(std::move(name)), host_(host) {}
  const char* bus_kind() const override { return "SCSI"; }
  bool hotplug_allowed() const override { return true; }
  /// "0:1:0" behind the controller's place: channel, target, unit.
  std::string device_path(const Device& device) const override;
  ScsiHost& host() const { return host_; }

  /// Null if there is none.
  ScsiDevice* find(uint32_t target, uint32_t lun) const;
  bool has_target(uint32_t target) const;
  /// Each unit.
  template <class F>
  void for_each(F&& fn) const {
    for (Device* d : devices()) fn(*static_cast<ScsiDevice*>(d));
  }
  void reset_units() const {
    for_each([](ScsiDevice& unit) { unit.reset(); });
  }
  /// REPORT LUNS, SPC-4 6.33.
  std::vector<uint8_t> report_luns(uint32_t target) const;

 protected:
  Result<> check_address(Device& device) override;

 private:
  ScsiHost& host_;
};

/// Sense data, SPC-4 4.5.2 and 4.5.3.
std::vector<uint8_t> scsi_sense_data(const Sense& sense, bool descriptors);

}  // namespace rhea
