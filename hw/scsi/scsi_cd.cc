#include "hw/scsi/scsi_cd.h"

#include <algorithm>
#include <cstring>

#include "hw/block/drive_events.h"
#include "hw/scsi/atapi_data.h"
#include "hw/scsi/cd_medium.h"
#include "util/byteorder.h"

namespace rhea {

using namespace scsi;

constexpr TypeInfo ScsiCd::kType{
    .name = "scsi-cd",
    .parent = &ScsiDisk::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<ScsiCd>(); },
    .properties = ScsiDisk::kCdProperties,
    .description = "virtual SCSI CD-ROM",
    .user_creatable = true};

CoResult<> ScsiCd::co_prepare(DeviceContext& context) {
  const BlockNeeds needs{.type = "scsi-cd", .may_be_absent = true, .read_only = true};
  Result<> r = co_await co_prepare_disk(context, needs);
  co_return r;
}

Result<> ScsiCd::do_realize() {
  TRY(ScsiDisk::do_realize());
  unit_.tray.on_moved = [this](bool open) { send_tray_moved(blk(), open); };
  return {};
}

void ScsiCd::do_unrealize() {
  unit_.tray.on_moved = nullptr;
  ScsiDisk::do_unrealize();
}

void ScsiCd::reset() {
  ScsiDisk::reset();
  unit_.reset();
}

Result<> ScsiCd::change_media_cb(bool load) {
  if (load)
    unit_.tray.host_load();
  else
    unit_.tray.host_unload();
  return {};
}

// --- commands

CoResult<> ScsiCd::co_perform(ScsiCommand& command) {
  ReadPlan plan;
  if (decide(command, plan)) {
    Result<> read = co_await co_read(command, plan);
    co_return read;
  }
  co_return Result<>();
}

bool ScsiCd::decide(ScsiCommand& command, ReadPlan& plan) {
  Cdb packet;
  std::copy_n(command.cdb.begin(), packet.size(), packet.begin());
  switch (command.cdb[0]) {
    case kInquiry:
      inquiry(command);
      return false;
    case kRead6:
    case kRead16:
    case kVerify10:
    case kVerify12:
    case kSynchronizeCache10:
    case kServiceActionIn16:
    case kModeSense6:
      packet = {kTestUnitReady};  // whether they get anywhere is decided like this
      break;
    default:
      break;
  }
  AtapiReply reply = unit_.execute(packet, medium_in(blk()));
  switch (reply.kind) {
    case AtapiReply::Kind::kCheck:
      if (command.cdb[0] == kModeSense6 && unit_.sense == sense::kNoMedium) break;  // it needs none
      command.check(std::exchange(unit_.sense, Sense()));
      return false;
    case AtapiReply::Kind::kData:
      command.give(reply.data, reply.data.size());
      return false;
    case AtapiReply::Kind::kRead:
      plan = reply.read;
      return true;
    case AtapiReply::Kind::kGood:
      break;
  }
  unit_.sense = {};
  switch (command.cdb[0]) {
    case kRead6:
    case kRead16:
    case kVerify10:
    case kVerify12:
      return plan_blocks(command, plan);
    case kServiceActionIn16: {
      if ((command.cdb[1] & 0x1f) != kReadCapacity16) {
        command.check(sense::kInvalidField);
        return false;
      }
      std::array<uint8_t, 32> data{};
      store_be<uint64_t>(&data[0], medium_in(blk()).sectors - uint64_t{1});
      store_be<uint32_t>(&data[8], kCdSectorBytes);
      command.give(data, load_be<uint32_t>(&command.cdb[10]));
      return false;
    }
    case kModeSense6:
      short_mode_sense(command);
      return false;
    default:
      command.good();
      return false;
  }
}

bool ScsiCd::plan_blocks(ScsiCommand& command, ReadPlan& plan) {
  const ScsiExtent extent = scsi_extent(command.cdb);
  const uint64_t sectors = medium_in(blk()).sectors;
  const bool verify = command.cdb[0] == kVerify10 || command.cdb[0] == kVerify12;
  if (verify && (command.cdb[1] & 6) != 0) {
    command.check(sense::kInvalidField);
  } else if (extent.lba > sectors || extent.blocks > sectors - extent.lba) {
    command.check(sense::kLbaOutOfRange);
  } else if (verify || extent.blocks == 0) {
    command.good();
  } else {
    plan.lba = static_cast<uint32_t>(extent.lba);
    plan.sectors = static_cast<uint32_t>(extent.blocks);
    return true;
  }
  return false;
}

/// The ten-byte reply with the shorter header.
void ScsiCd::short_mode_sense(ScsiCommand& command) const {
  const unsigned control = command.cdb[2] >> 6;
  if (control == 3) return command.check(sense::kSavingUnsupported);
  const AtapiData whole = mode_page_data(medium_in(blk()), unit_.tray, command.cdb[2] & 0x3f, control);
  if (whole.size() <= 8) return command.check(sense::kInvalidField);
  AtapiData out(4);
  out.insert(out.end(), whole.begin() + 8, whole.end());
  out[0] = static_cast<uint8_t>(out.size() - 1);
  out[1] = whole[2];
  command.give(out, command.cdb[4]);
}

CoResult<> ScsiCd::co_read(ScsiCommand& command, ReadPlan plan) {
  if (plan.bytes() > command.in.size()) {
    command.check(sense::kInvalidField);
    co_return Result<>();
  }
  if (plan.sector_bytes != kCdSectorBytes) {
    Result<> raw = co_await co_read_raw(command, plan);
    co_return raw;
  }
  const IoVector data = command.in.slice(0, plan.bytes());
  const ByteRange range(uint64_t{plan.lba} * kCdSectorBytes, plan.bytes());
  Result<> read = co_await blk().co_preadv(range, data);
  if (!read) {
    if (request_failed(command, true, read.error())) co_return Result<>();
    data.zero();
  }
  command.good(plan.bytes());
  co_return Result<>();
}

CoResult<> ScsiCd::co_read_raw(ScsiCommand& command, ReadPlan plan) {
  std::array<uint8_t, kCdRawSectorBytes> sector{};
  for (uint32_t i = 0; i < plan.sectors && !command.given_up; ++i) {
    const uint32_t lba = plan.lba + i;
    const ByteRange range(uint64_t{lba} * kCdSectorBytes, kCdSectorBytes);
    Result<> read = co_await blk().co_preadv(range, IoVector(&sector[16], kCdSectorBytes));
    if (!read) {
      if (request_failed(command, true, read.error())) co_return Result<>();
      std::memset(&sector[16], 0, kCdSectorBytes);
    }
    make_raw_sector(sector, lba);
    command.in.slice(uint64_t{i} * sector.size(), sector.size()).copy_from(sector.data());
  }
  command.good(plan.bytes());
  co_return Result<>();
}

// --- saved state

void ScsiCd::save_medium(Wire& wire) const {
  const TrayState& tray = unit_.tray.state();
  wire = {.media_changed = tray.change != MediumChange::kNone,
          .media_event = tray.new_medium_event,
          .eject_request = tray.eject_event,
          .tray_open = tray.open,
          .tray_locked = tray.locked};
}

Result<> ScsiCd::load_medium(const Wire& wire) {
  unit_.tray.restore({.open = wire.tray_open,
                      .locked = wire.tray_locked,
                      .eject_pending = wire.eject_request,
                      .eject_event = wire.eject_request,
                      .new_medium_event = wire.media_event,
                      .change = wire.media_changed ? MediumChange::kArrivalUnseen : MediumChange::kNone});
  return {};
}

}  // namespace rhea
