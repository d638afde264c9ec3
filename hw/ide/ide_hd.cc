// The disk as a device, and the commands that take no time (transfers are in ide_hd_io.cc).
#include "hw/ide/ide_hd.h"

#include <algorithm>
#include <bit>

#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_dma.h"

namespace rhea {

using namespace ata;

namespace {
std::shared_ptr<Object> make_ide_hd() {
  return std::make_shared<IdeHd>();
}
constexpr HdGeometryLimits kGeometryLimits{.cyls = 65535, .heads = 16, .secs = 255};
constexpr uint64_t kMaxSectors = uint64_t{1} << 48, kMaxSectors28 = uint64_t{1} << 28;
}  // namespace

constexpr TypeInfo IdeHd::kType{.name = "ide-hd",
                                .parent = &IdeDrive::kType,
                                .create = make_ide_hd,
                                .properties = IdeStorage::kHdProperties,
                                .description = "virtual IDE disk",
                                .user_creatable = true};

IdeHd::IdeHd() : IdeStorage({.model = "QEMU HARDDISK"}) {}

CoResult<> IdeHd::co_prepare(DeviceContext& context) {
  const BlockNeeds needs{.type = "ide-hd", .resizable = true};
  Result<> taken = co_await co_prepare_drive(context, needs);
  co_await or_return(std::move(taken));
  Result<> chosen = co_await co_choose_geometry();
  co_return chosen;
}

CoResult<> IdeHd::co_choose_geometry() {
  geometry_ = conf_.geometry();
  if (geometry_.given()) {
    co_await or_return(check_geometry(geometry_, kGeometryLimits));
    if (translation_ == BiosAtaTranslation::kAuto) translation_ = translation_for(geometry_);
    co_return Result<>();
  }
  const uint64_t bytes = co_await or_return(blk().getlength());
  std::array<uint8_t, 512> first{};
  if (bytes >= first.size()) {
    // A disk that cannot be read has no history.
    Result<> read = co_await blk().co_peek(ByteRange(0, first.size()), IoVector(first.data(), first.size()));
    if (!read) first.fill(0);
  }
  const HdGeometryGuess guess = guess_geometry(first, bytes / 512);
  geometry_ = guess.geometry;
  if (translation_ == BiosAtaTranslation::kAuto) translation_ = guess.translation;
  co_return Result<>();
}

Result<> IdeHd::do_realize() {
  TRY(IdeStorage::do_realize());
  resize_cb();
  settings.translation = geometry_;
  set_signature();
  return {};
}

void IdeHd::resize_cb() {
  const Result<uint64_t> bytes = blk().getlength();
  native_sectors_ = std::min(bytes ? *bytes / 512 : 0, kMaxSectors);
}

void IdeHd::set_signature() {  // 9.12
  TaskFile& r = slot().regs;
  r.sector_count = 1;
  r.lba_low = 1;
  r.lba_mid = 0;
  r.lba_high = 0;
  r.error = 1;  // diagnostic passed
  r.status = kReady;
}

void IdeHd::bus_reset() {
  mode = TransferMode();
  settings = {.translation = geometry_};
  native_max_read_ = false;
}

IdentifyData IdeHd::identify() const {
  const DiskDescription disk{.identity = identity_,
                             .mode = mode,
                             .geometry = geometry_,
                             .translation = settings.translation,
                             .sectors = sectors(),
                             .multiple = settings.multiple,
                             .max_multiple = AtaSettings::kMaxMultiple,
                             .write_cache = blk().write_cache_enabled(),
                             .physical_exponent = static_cast<unsigned>(
                                 std::countr_zero(conf_.physical_block_size / conf_.logical_block_size)),
                             .trim = conf_.discard_granularity != 0,
                             .rotation_rate = rotation_rate_};
  return identify_device(disk);
}

// --- addresses

uint64_t IdeHd::address(bool lba48) const {
  const TaskFile& r = slot().regs;
  const auto bits = [](uint8_t value, unsigned shift) { return uint64_t{value} << shift; };
  const uint64_t low = bits(r.lba_low, 0) | bits(r.lba_mid, 8) | bits(r.lba_high, 16);
  if (lba48) return low | bits(r.hob_lba_low, 24) | bits(r.hob_lba_mid, 32) | bits(r.hob_lba_high, 40);
  const auto head = static_cast<uint8_t>(r.device & kDeviceHead);
  if ((r.device & kDeviceLba) != 0) return low | bits(head, 24);
  const HdGeometry& g = settings.translation;
  if (r.lba_low == 0) return UINT64_MAX;  // sectors count from 1
  const uint64_t cylinder = bits(r.lba_mid, 0) | bits(r.lba_high, 8);
  return (cylinder * g.heads + head) * g.secs + r.lba_low - 1;
}

void IdeHd::set_address(uint64_t lba, bool lba48) {
  TaskFile& r = slot().regs;
  const auto byte = [](uint64_t value, unsigned shift) { return static_cast<uint8_t>(value >> shift); };
  uint8_t head = byte(lba, 24);
  if (lba48) {
    r.hob_lba_low = byte(lba, 24);
    r.hob_lba_mid = byte(lba, 32);
    r.hob_lba_high = byte(lba, 40);
  } else if ((r.device & kDeviceLba) == 0) {
    const HdGeometry& g = settings.translation;
    const uint64_t track = lba / g.secs;
    r.lba_low = static_cast<uint8_t>(lba % g.secs + 1);
    r.lba_mid = byte(track / g.heads, 0);
    r.lba_high = byte(track / g.heads, 8);
    head = static_cast<uint8_t>(track % g.heads);
    r.device = static_cast<uint8_t>((r.device & ~kDeviceHead) | (head & kDeviceHead));
    return;
  }
  r.lba_low = byte(lba, 0);
  r.lba_mid = byte(lba, 8);
  r.lba_high = byte(lba, 16);
  if (!lba48) r.device = static_cast<uint8_t>((r.device & ~kDeviceHead) | (head & kDeviceHead));
}

void IdeHd::set_count(uint32_t left, bool lba48) {
  TaskFile& r = slot().regs;
  r.sector_count = static_cast<uint8_t>(left);
  if (lba48) r.hob_sector_count = static_cast<uint8_t>(left >> 8);
}

bool IdeHd::in_range(uint64_t lba, uint64_t n) const {
  return lba < sectors() && n <= sectors() - lba;
}

// --- commands

struct IdeHd::Command {
  uint8_t opcode;
  Outcome (IdeHd::*run)(bool lba48);
  bool lba48 = false;
};

const IdeHd::Command* IdeHd::find(uint8_t opcode) {
  static constexpr Command kCommands[] = {
      {kReadSectors, &IdeHd::read_pio},
      {kReadSectorsNoRetry, &IdeHd::read_pio},
      {kReadSectorsExt, &IdeHd::read_pio, true},
      {kReadMultiple, &IdeHd::read_multiple},
      {kReadMultipleExt, &IdeHd::read_multiple, true},
      {kReadDma, &IdeHd::read_dma},
      {kReadDmaNoRetry, &IdeHd::read_dma},
      {kReadDmaExt, &IdeHd::read_dma, true},
      {kWriteSectors, &IdeHd::write_pio},
      {kWriteSectorsNoRetry, &IdeHd::write_pio},
      {kWriteSectorsExt, &IdeHd::write_pio, true},
      {kWriteVerify, &IdeHd::write_pio},
      {kWriteMultiple, &IdeHd::write_multiple},
      {kWriteMultipleExt, &IdeHd::write_multiple, true},
      {kWriteDma, &IdeHd::write_dma},
      {kWriteDmaNoRetry, &IdeHd::write_dma},
      {kWriteDmaExt, &IdeHd::write_dma, true},
      {kDataSetManagement, &IdeHd::data_set_management},
      {kVerify, &IdeHd::verify},
      {kVerifyNoRetry, &IdeHd::verify},
      {kVerifyExt, &IdeHd::verify, true},
      {kFlushCache, &IdeHd::flush},
      {kFlushCacheExt, &IdeHd::flush, true},
      {kSeek, &IdeHd::seek},
      {kRecalibrate, &IdeHd::nothing},
      {kSecurityFreeze, &IdeHd::nothing},
      {kInitializeParameters, &IdeHd::initialize_parameters},
      {kSetMultiple, &IdeHd::set_multiple},
      {kSetFeatures, &IdeHd::set_features},
      {kIdentify, &IdeHd::identify_command},
      {kReadNativeMax, &IdeHd::read_native_max},
      {kReadNativeMaxExt, &IdeHd::read_native_max, true},
      {kSetMax, &IdeHd::set_max},
      {kSetMaxExt, &IdeHd::set_max, true},
      {kSmart, &IdeHd::smart_command},
      {kCheckPowerMode, &IdeHd::check_power},
      {kCheckPowerModeOld, &IdeHd::check_power},
      {kStandbyImmediate, &IdeHd::power},
      {kStandbyImmediateOld, &IdeHd::power},
      {kIdleImmediate, &IdeHd::power},
      {kIdleImmediateOld, &IdeHd::power},
      {kStandby, &IdeHd::power},
      {kStandbyOld, &IdeHd::power},
      {kIdle, &IdeHd::power},
      {kIdleOld, &IdeHd::power},
      {kSleep, &IdeHd::power},
      {kSleepOld, &IdeHd::power},
  };
  const auto* const found = std::ranges::find(kCommands, opcode, &Command::opcode);
  return found != std::end(kCommands) ? found : nullptr;
}

bool IdeHd::execute(uint8_t opcode) {
  const Command* const command = find(opcode);
  const bool after_native_max = std::exchange(native_max_read_, false);
  if (command == nullptr) return false;
  // SET MAX ADDRESS means something right after READ NATIVE MAX ADDRESS alone.
  if (command->run == &IdeHd::set_max && !after_native_max) return false;
  switch ((this->*command->run)(command->lba48)) {
    case Outcome::kAbort:
      return false;
    case Outcome::kDone:
      channel().raise_interrupt();
      return true;
    case Outcome::kStarted:
      return true;
  }
  return false;
}

IdeHd::Outcome IdeHd::nothing(bool) {
  return Outcome::kDone;
}

/// The motor never stops: every power mode is left as soon as it is entered.
IdeHd::Outcome IdeHd::power(bool) {
  slot().regs.status = kDrdy;
  return Outcome::kDone;
}

IdeHd::Outcome IdeHd::check_power(bool) {
  slot().regs.sector_count = 0xff;  // active or idle
  return Outcome::kDone;
}

IdeHd::Outcome IdeHd::seek(bool lba48) {
  return in_range(address(lba48), 1) ? Outcome::kDone : Outcome::kAbort;
}

/// ATA-3 7.8: heads less one and sectors a track of CHS addresses from now on.
IdeHd::Outcome IdeHd::initialize_parameters(bool) {
  const TaskFile& r = slot().regs;
  const uint32_t heads = (r.device & kDeviceHead) + 1u, secs = r.sector_count;
  if (secs == 0) return Outcome::kAbort;
  const uint64_t cyls = std::min<uint64_t>(native_sectors_ / (uint64_t{heads} * secs), 65535);
  settings.translation = {static_cast<uint32_t>(std::max<uint64_t>(cyls, 1)), heads, secs};
  return Outcome::kDone;
}

IdeHd::Outcome IdeHd::set_multiple(bool) {
  const uint8_t n = slot().regs.sector_count;
  if (n > AtaSettings::kMaxMultiple || (n & (n - 1)) != 0) return Outcome::kAbort;
  settings.multiple = n;
  return Outcome::kDone;
}

IdeHd::Outcome IdeHd::set_features(bool) {  // 8.46
  switch (slot().regs.feature) {
    case 0x02:
      set_write_cache(true);
      return Outcome::kDone;
    case 0x82:
      set_write_cache(false);
      return flush(false);
    case 0x05:  // power management,
    case 0x85:
    case 0x42:  // acoustics,
    case 0xc2:
    case 0x55:  // look-ahead,
    case 0xaa:
    case 0x67:  // and settings that exist in name only
    case 0x69:
    case 0x96:
    case 0x9a:
      return Outcome::kDone;
    default:
      return set_common_feature() ? Outcome::kDone : Outcome::kAbort;
  }
}

IdeHd::Outcome IdeHd::identify_command(bool) {
  present_sector(identify());
  return Outcome::kStarted;
}

IdeHd::Outcome IdeHd::read_native_max(bool lba48) {  // 8.32, 8.33
  if (native_sectors_ == 0) return Outcome::kAbort;
  const uint64_t sectors = lba48 ? native_sectors_ : std::min(native_sectors_, kMaxSectors28);
  set_address(sectors - 1, lba48);
  native_max_read_ = true;
  return Outcome::kDone;
}

IdeHd::Outcome IdeHd::set_max(bool lba48) {  // 8.47, 8.48
  const TaskFile& r = slot().regs;
  const bool keep = (r.sector_count & 1) != 0;  // over power-off, which nothing here outlives
  const uint64_t last = address(lba48);
  if ((!lba48 && r.feature != 0) || keep || last >= native_sectors_) return Outcome::kAbort;
  settings.max_sectors = last + 1 == native_sectors_ ? 0 : last + 1;
  return Outcome::kDone;
}

// --- SMART

IdeHd::Outcome IdeHd::smart_command(bool) {
  constexpr uint8_t kData = 0xd0, kThresholds = 0xd1, kAutosave = 0xd2, kExecute = 0xd4, kLog = 0xd5,
                    kEnable = 0xd8, kDisable = 0xd9, kStatus = 0xda;
  const TaskFile& r = slot().regs;
  if (r.lba_mid != 0x4f || r.lba_high != 0xc2) return Outcome::kAbort;
  if (!smart.enabled && r.feature != kEnable) return Outcome::kAbort;
  switch (r.feature) {
    case kData:
      return present_smart(smart_data(smart));
    case kThresholds:
      return present_smart(smart_thresholds());
    case kLog: {
      const auto log = smart_log(smart, r.lba_low);
      return log && r.sector_count == 1 ? present_smart(*log) : Outcome::kAbort;
    }
    case kExecute:
      return smart_execute(smart, r.lba_low) ? Outcome::kDone : Outcome::kAbort;
    case kAutosave:
      if (r.sector_count != 0 && r.sector_count != 0xf1) return Outcome::kAbort;
      smart.autosave = r.sector_count != 0;
      return Outcome::kDone;
    case kEnable:
    case kDisable:
      smart.enabled = r.feature == kEnable;
      return Outcome::kDone;
    case kStatus:  // the signature that came stays: no threshold is exceeded
      return Outcome::kDone;
    default:
      return Outcome::kAbort;
  }
}

IdeHd::Outcome IdeHd::present_smart(const SmartSector& sector) {
  present_sector(sector);
  return Outcome::kStarted;
}

}  // namespace rhea
