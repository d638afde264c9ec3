// The drive as a device: properties, backend, commands outside the PACKET protocol (ide_cd_packet.cc).
#include "hw/ide/ide_cd.h"

#include <algorithm>

#include "hw/block/drive_events.h"
#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_dma.h"
#include "hw/scsi/cd_medium.h"

namespace rhea {

using namespace ata;

namespace {

std::shared_ptr<Object> make_ide_cd() {
  return std::make_shared<IdeCd>();
}

}  // namespace

constexpr TypeInfo IdeCd::kType{.name = "ide-cd",
                                .parent = &IdeDrive::kType,
                                .create = make_ide_cd,
                                .properties = IdeStorage::kCdProperties,
                                .description = "virtual IDE CD-ROM",
                                .user_creatable = true};

CoResult<> IdeCd::co_prepare(DeviceContext& context) {
  const BlockNeeds needs{.type = "ide-cd", .may_be_absent = true, .read_only = true};
  Result<> r = co_await co_prepare_drive(context, needs);
  co_return r;
}

Result<> IdeCd::do_realize() {
  TRY(IdeStorage::do_realize());
  atapi_.identity = identity_;
  atapi_.tray.on_moved = [this](bool open) { send_tray_moved(blk(), open); };
  set_signature();
  return {};
}

void IdeCd::do_unrealize() {
  atapi_.tray.on_moved = nullptr;
  IdeStorage::do_unrealize();
}

CdMedium IdeCd::medium() const {
  return medium_in(blk());
}

Result<> IdeCd::change_media_cb(bool load) {
  if (load)
    atapi_.tray.host_load();
  else
    atapi_.tray.host_unload();
  return {};
}

void IdeCd::eject_request_cb(bool force) {
  atapi_.tray.host_eject_request(force);
}

// --- commands

void IdeCd::set_signature() {
  TaskFile& r = slot().regs;
  r.sector_count = 1;
  r.lba_low = 1;
  r.lba_mid = 0x14;
  r.lba_high = 0xeb;
  r.error = 1;   // diagnostic passed
  r.status = 0;  // a packet device is not "ready" before its first command, 9.12
}

void IdeCd::bus_reset() {
  mode = TransferMode();
  atapi_.reset();
}

bool IdeCd::execute(uint8_t command) {
  TaskFile& r = slot().regs;
  switch (command) {
    case kPacket:
      return packet();
    case kIdentifyPacket:
      present_sector(identify_packet_device(atapi_.identity, mode));
      return true;
    case kIdentify:
    case kReadSectors:  // 8.15, 8.27: aborted, with the signature that says why
      set_signature();
      return false;
    case kSetFeatures:
      if (!set_common_feature()) return false;
      break;
    case kCheckPowerMode:
      r.sector_count = 0xff;  // active
      break;
    case kIdleImmediate:
    case kStandbyImmediate:
    case kSleep:
      break;
    default:
      return false;  // NOP too: 8.18
  }
  channel().raise_interrupt();
  return true;
}

}  // namespace rhea
