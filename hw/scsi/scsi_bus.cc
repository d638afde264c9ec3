#include "hw/scsi/scsi_bus.h"

#include <algorithm>
#include <set>

#include "util/byteorder.h"

namespace rhea {

using namespace scsi;

constexpr PropertyInfo ScsiDevice::kProperties[] = {
    prop<&ScsiDevice::channel>("channel"),
    prop<&ScsiDevice::target>("scsi-id"),
    prop<&ScsiDevice::lun>("lun"),
};
constexpr TypeInfo ScsiDevice::kType{.name = "scsi-device",
                                     .parent = &Device::kType,
                                     .properties = ScsiDevice::kProperties,
                                     .category = DeviceCategory::kStorage};
constexpr TypeInfo ScsiBus::kType{.name = "SCSI", .parent = &Bus::kType, .made_by_owner = true};

// --- commands

void ScsiCommand::give(std::span<const uint8_t> data, uint64_t allocation) {
  const size_t bytes = std::min<uint64_t>({data.size(), allocation, in.size()});
  if (bytes != 0) in.slice(0, bytes).copy_from(data.data());
  good(bytes);
}

std::vector<uint8_t> scsi_sense_data(const Sense& sense, bool descriptors) {
  if (descriptors) return {0x72, static_cast<uint8_t>(sense.key), sense.asc, sense.ascq, 0, 0, 0, 0};
  std::vector<uint8_t> out(18);
  out[0] = 0x70;
  out[2] = static_cast<uint8_t>(sense.key);
  out[7] = static_cast<uint8_t>(out.size() - 8);
  out[12] = sense.asc;
  out[13] = sense.ascq;
  return out;
}

// --- units

namespace {

/// Commands that a unit attention does not stop (SPC-4 5.14, MMC-5 4.1.6.4).
bool passes_attention(uint8_t opcode) {
  return opcode == kInquiry || opcode == kReportLuns || opcode == kRequestSense ||
         opcode == kGetConfiguration || opcode == kGetEventStatus;
}

}  // namespace

CoResult<> ScsiDevice::co_execute(ScsiCommand& command) {
  const Gate::Pass pass(running_);
  if (attention_ && !passes_attention(command.cdb[0])) {
    command.check(std::exchange(attention_, Sense()));
    co_return Result<>();
  }
  switch (command.cdb[0]) {
    case kReportLuns: {
      if (attention_ == sense::kLunsChanged) attention_ = {};
      const auto allocation = load_be<uint32_t>(&command.cdb[6]);
      if (command.cdb[2] > 2 || allocation < 16) {
        command.check(sense::kInvalidField);
      } else {
        command.give(scsi_bus().report_luns(target), allocation);
      }
      co_return Result<>();
    }
    case kRequestSense: {
      const std::vector<uint8_t> data =
          scsi_sense_data(std::exchange(attention_, Sense()), (command.cdb[1] & 1) != 0);
      command.give(data, command.cdb[4]);
      co_return Result<>();
    }
    default:
      break;
  }
  Result<> done = co_await co_perform(command);
  co_return done;
}

void ScsiDevice::execute_absent(ScsiBus& bus, uint32_t target, ScsiCommand& command) {
  const ScsiCdb& cdb = command.cdb;
  switch (cdb[0]) {
    case kReportLuns: {
      const auto allocation = load_be<uint32_t>(&cdb[6]);
      if (cdb[2] > 2 || allocation < 16) return command.check(sense::kInvalidField);
      return command.give(bus.report_luns(target), allocation);
    }
    case kInquiry: {
      if ((cdb[1] & 1) != 0 || cdb[2] != 0) return command.check(sense::kInvalidField);
      std::vector<uint8_t> data(36);
      data[0] = 0x7f;  // 6.4.2: no unit there, and none can be
      data[2] = 5;
      data[3] = 0x12;
      data[4] = static_cast<uint8_t>(data.size() - 5);
      return command.give(data, load_be<uint16_t>(&cdb[3]));
    }
    case kRequestSense:
      return command.give(scsi_sense_data(sense::kNoSuchUnit, (cdb[1] & 1) != 0), cdb[4]);
    default:
      return command.check(sense::kNoSuchUnit);
  }
}

CoResult<> ScsiDevice::co_stop() {
  stopped_ = true;
  if (bus() != nullptr) host().abandon(*this);
  co_return co_await running_.co_close();
}

ScsiBus& ScsiDevice::scsi_bus() const {
  return *static_cast<ScsiBus*>(bus());
}

ScsiHost& ScsiDevice::host() const {
  return scsi_bus().host();
}

Result<> ScsiDevice::do_realize() {
  attention_ = sense::kPowerOn;
  if (hotplugged()) host().unit_arrived(*this);
  return {};
}

void ScsiDevice::do_unrealize() {
  host().abandon(*this);
  host().unit_left(target, lun);
}

void ScsiDevice::changed(const Sense& what) {
  attention_ = what;
  host().unit_changed(*this, what);
}

// --- the bus

std::string ScsiBus::device_path(const Device& device) const {
  const auto& unit = static_cast<const ScsiDevice&>(device);
  const std::string before = owner() != nullptr ? owner()->bus_path() : std::string();
  return str_cat(before, before.empty() ? "" : "/", unit.channel, ":", unit.target, ":", unit.lun);
}

ScsiDevice* ScsiBus::find(uint32_t target, uint32_t lun) const {
  for (Device* d : devices()) {
    auto* unit = static_cast<ScsiDevice*>(d);
    if (unit->target == target && unit->lun == lun && unit->takes_commands()) return unit;
  }
  return nullptr;
}

bool ScsiBus::has_target(uint32_t target) const {
  return std::ranges::any_of(devices(),
                             [&](Device* d) { return static_cast<ScsiDevice*>(d)->target == target; });
}

Result<> ScsiBus::check_address(Device& device) {
  auto& unit = static_cast<ScsiDevice&>(device);
  if (unit.channel != 0) return fail(EINVAL, "bad scsi channel id: ", unit.channel);
  const bool any_target = unit.target == ScsiDevice::kAnyNumber, any_lun = unit.lun == ScsiDevice::kAnyNumber;
  if (!any_target && unit.target > kMaxTarget) return fail(EINVAL, "bad scsi device id: ", unit.target);
  if (!any_lun && unit.lun > kMaxLun) return fail(EINVAL, "bad scsi device lun: ", unit.lun);
  std::set<std::pair<uint32_t, uint32_t>> taken;
  for_each([&](ScsiDevice& other) {
    if (&other != &unit) taken.insert({other.target, other.lun});
  });
  if (any_target) {
    const uint32_t lun = any_lun ? 0 : unit.lun;
    uint32_t target = 0;
    while (target <= kMaxTarget && taken.contains({target, lun})) ++target;
    if (target > kMaxTarget) return fail(ENOSPC, "no free target");
    unit.target = target;
    unit.lun = lun;
  } else if (any_lun) {
    uint32_t lun = 0;
    while (lun <= kMaxLun && taken.contains({unit.target, lun})) ++lun;
    if (lun > kMaxLun) return fail(ENOSPC, "no free lun");
    unit.lun = lun;
  } else {
    for (Device* d : devices()) {
      const auto* other = static_cast<ScsiDevice*>(d);
      if (other != &unit && other->target == unit.target && other->lun == unit.lun)
        return fail(EBUSY, "lun already used by '", other->id(), "'");
    }
  }
  return {};
}

std::vector<uint8_t> ScsiBus::report_luns(uint32_t target) const {
  std::set<uint32_t> luns{0};  // listed always
  for_each([&](ScsiDevice& unit) {
    if (unit.target == target) luns.insert(unit.lun);
  });
  std::vector<uint8_t> out(8 + 8 * luns.size());
  store_be<uint32_t>(out.data(), static_cast<uint32_t>(8 * luns.size()));
  size_t at = 8;
  for (const uint32_t lun : luns) {  // SAM-5 4.6.7: peripheral addresses, then flat ones
    store_be<uint16_t>(&out[at], static_cast<uint16_t>(lun < 256 ? lun : 0x4000 | lun));
    at += 8;
  }
  return out;
}

}  // namespace rhea
