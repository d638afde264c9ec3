// The disk as a device, and the commands that take no time (transfers are in scsi_hd_io.cc). Spec: SBC-3
// (T10/1799-D).
#include <bit>

#include "hw/scsi/scsi_disk.h"
#include "util/byteorder.h"

namespace rhea {

using namespace scsi;

constexpr TypeInfo ScsiHd::kType{
    .name = "scsi-hd",
    .parent = &ScsiDisk::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<ScsiHd>(); },
    .properties = ScsiDisk::kHdProperties,
    .description = "virtual SCSI disk",
    .user_creatable = true};

CoResult<> ScsiHd::co_prepare(DeviceContext& context) {
  if (conf.drive.empty()) co_return fail(ENODEV, "drive property not set");
  const BlockNeeds needs{.type = "scsi-hd", .resizable = true};
  Result<> taken = co_await co_prepare_disk(context, needs);
  co_await or_return(std::move(taken));
  constexpr HdGeometryLimits kLimits{65535, 255, 255};
  Result<HdGeometry> chosen = co_await co_disk_geometry(conf, blk(), kLimits);
  geometry_ = co_await or_return(std::move(chosen));
  co_return Result<>();
}

Result<> ScsiHd::do_realize() {
  TRY(ScsiDisk::do_realize());
  // What is shown is what the guest sees.
  conf.cyls = geometry_.cyls;
  conf.heads = geometry_.heads;
  conf.secs = geometry_.secs;
  return {};
}

void ScsiHd::reset() {
  ScsiDisk::reset();
  locked_ = false;
}

Result<> ScsiHd::change_media_cb(bool load) {
  if (load) attention_ = sense::kMediumChanged;
  return {};
}

void ScsiHd::save_medium(Wire& wire) const {
  wire.tray_locked = locked_;
}

Result<> ScsiHd::load_medium(const Wire& wire) {
  locked_ = wire.tray_locked && removable;
  return {};
}

uint64_t ScsiHd::blocks() const {
  const Result<uint64_t> bytes = blk().getlength();
  return bytes ? *bytes / block_bytes() : 0;
}

bool ScsiHd::inside(const ScsiExtent& extent) const {
  const uint64_t total = blocks();
  return extent.lba <= total && extent.blocks <= total - extent.lba;
}

bool ScsiHd::may_write() const {
  return blk().node() != nullptr && !blk().node()->read_only();
}

bool ScsiHd::check_extent(ScsiCommand& command, const ScsiExtent& extent, bool writes) const {
  if ((command.cdb[0] >> 5) != 0 && (command.cdb[1] & 0xe0) != 0)
    command.check(sense::kInvalidField);  // no protection information
  else if (!blk().is_inserted())
    command.check(sense::kNoMedium);
  else if (writes && !may_write())
    command.check(sense::kWriteProtected);
  else if (!inside(extent))
    command.check(sense::kLbaOutOfRange);
  else
    return true;
  return false;
}

CoResult<> ScsiHd::co_perform(ScsiCommand& command) {
  switch (command.cdb[0]) {
    case kRead6:
    case kRead10:
    case kRead12:
    case kRead16:
      return co_read(command);
    case kWrite6:
    case kWrite10:
    case kWrite12:
    case kWrite16:
    case kWriteVerify10:
    case kWriteVerify12:
    case kWriteVerify16:
      return co_write(command);
    case kVerify10:
    case kVerify12:
    case kVerify16:
      return co_verify(command, false);
    case kSynchronizeCache10:
    case kSynchronizeCache16:
      return co_flush(command);
    case kWriteSame10:
    case kWriteSame16:
      return co_write_same(command);
    case kUnmap:
      return co_unmap(command);
    default:
      break;
  }
  return [](ScsiHd& self, ScsiCommand& c) -> CoResult<> {
    if (!self.perform_now(c)) c.check(sense::kInvalidOpcode);
    co_return Result<>();
  }(*this, command);
}

bool ScsiHd::perform_now(ScsiCommand& command) {
  const ScsiCdb& cdb = command.cdb;
  switch (cdb[0]) {
    case kInquiry:
      inquiry(command);
      return true;
    case kModeSense6:
    case kModeSense10:
      mode_sense(command);
      return true;
    case kModeSelect6:
    case kModeSelect10:
      mode_select(command);
      return true;
    case kTestUnitReady:
    case kFormatUnit:
      if (blk().is_inserted())
        command.good();
      else
        command.check(sense::kNoMedium);
      return true;
    case kReserve6:
    case kRelease6:
    case kReserve10:
    case kRelease10:  // there is one initiator
      command.good();
      return true;
    case kStartStop: {
      const bool eject = (cdb[4] & 0xf3) == 2;
      if (eject && removable && locked_)
        command.check(blk().is_inserted() ? sense::kRemovalRefused : sense::kRemovalPrevented);
      else
        command.good();
      return true;
    }
    case kPreventAllow:
      if (removable) locked_ = (cdb[4] & 1) != 0;
      command.good();
      return true;
    case kSeek10: {
      if (check_extent(command, {load_be<uint32_t>(&cdb[2]), 0}, false)) command.good();
      return true;
    }
    case kReadCapacity10:
      read_capacity(command);
      return true;
    case kServiceActionIn16:
      if ((cdb[1] & 0x1f) != kReadCapacity16) return false;
      read_capacity_long(command);
      return true;
    default:
      return false;
  }
}

void ScsiHd::read_capacity(ScsiCommand& command) const {
  const bool partial = (command.cdb[8] & 1) != 0;
  if (!partial && load_be<uint32_t>(&command.cdb[2]) != 0) return command.check(sense::kInvalidField);
  const uint64_t total = blocks();
  if (!blk().is_inserted() || total == 0) return command.check(sense::kNoMedium);
  std::array<uint8_t, 8> data{};
  store_be<uint32_t>(&data[0], static_cast<uint32_t>(std::min<uint64_t>(total - 1, UINT32_MAX)));
  store_be<uint32_t>(&data[4], block_bytes());
  command.give(data, data.size());
}

void ScsiHd::read_capacity_long(ScsiCommand& command) const {
  const uint64_t total = blocks();
  if (!blk().is_inserted() || total == 0) return command.check(sense::kNoMedium);
  std::array<uint8_t, 32> data{};
  store_be<uint64_t>(&data[0], total - 1);
  store_be<uint32_t>(&data[8], block_bytes());
  data[13] = static_cast<uint8_t>(std::countr_zero(conf.physical_block_size) -
                                  std::countr_zero(conf.logical_block_size));
  if (conf.discard_granularity != 0) data[14] = 0x80;  // LBPME
  command.give(data, load_be<uint32_t>(&command.cdb[10]));
}

}  // namespace rhea
