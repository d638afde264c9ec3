#include "hw/scsi/atapi.h"

#include <algorithm>
#include <cstring>

#include "hw/scsi/atapi_data.h"
#include "util/byteorder.h"
#include "util/log.h"

namespace rhea {

namespace {
enum Flags : uint8_t {
  kNeedsMedium = 1,  ///< fails while there is no readable medium
  kAllowedInUa = 2,  ///< carried out while a unit attention is pending (SPC-3 5.8.5, MMC-5 4.1.6.4)
};
}  // namespace

struct AtapiUnit::Call {
  const Cdb& cdb;
  const CdMedium& medium;
  uint16_t be16(size_t at) const { return load_be<uint16_t>(&cdb[at]); }
  uint32_t be32(size_t at) const { return load_be<uint32_t>(&cdb[at]); }
};

struct AtapiUnit::Command {
  uint8_t opcode;
  AtapiReply (AtapiUnit::*run)(const Call&);
  uint8_t flags;
};

const AtapiUnit::Command* AtapiUnit::find(uint8_t opcode) {
  static constexpr Command kCommands[] = {
      {0x00, &AtapiUnit::test_unit_ready, kNeedsMedium},
      {0x03, &AtapiUnit::request_sense, kAllowedInUa},
      {0x12, &AtapiUnit::inquiry, kAllowedInUa},
      {0x1b, &AtapiUnit::start_stop, 0},
      {0x1e, &AtapiUnit::prevent_allow, 0},
      {0x25, &AtapiUnit::read_capacity, kNeedsMedium},
      {0x28, &AtapiUnit::read_10, kNeedsMedium},
      {0x2b, &AtapiUnit::seek, kNeedsMedium},
      {0x43, &AtapiUnit::read_toc, kNeedsMedium},
      {0x46, &AtapiUnit::get_configuration, kAllowedInUa},
      {0x4a, &AtapiUnit::get_event_status, kAllowedInUa},
      {0x51, &AtapiUnit::read_disc_information, kNeedsMedium},
      {0x5a, &AtapiUnit::mode_sense, 0},
      {0xa8, &AtapiUnit::read_12, kNeedsMedium},
      {0xad, &AtapiUnit::read_dvd_structure, kNeedsMedium},
      {0xbb, &AtapiUnit::set_speed, 0},
      {0xbd, &AtapiUnit::mechanism_status, 0},
      {0xbe, &AtapiUnit::read_cd, kNeedsMedium},
  };
  for (const auto& c : kCommands)
    if (c.opcode == opcode) return &c;
  return nullptr;
}

AtapiReply AtapiUnit::check(const Sense& failure) {
  sense = failure;
  return {.kind = AtapiReply::Kind::kCheck};
}

AtapiReply AtapiUnit::data(std::vector<uint8_t> bytes, size_t allocation) {
  bytes.resize(std::min(bytes.size(), allocation));
  if (bytes.empty()) return {};
  return {.kind = AtapiReply::Kind::kData, .data = std::move(bytes)};
}

AtapiReply AtapiUnit::execute(const Cdb& cdb, const CdMedium& medium) {
  const Command* command = find(cdb[0]);
  const bool allowed_in_ua = command != nullptr && (command->flags & kAllowedInUa) != 0;
  if (!allowed_in_ua) {
    // An attention stays until REQUEST SENSE has fetched it.
    if (sense.key == SenseKey::kUnitAttention) return {.kind = AtapiReply::Kind::kCheck};
    switch (tray.take_notice(medium.present)) {
      case TrayNotice::kNoMedium:
        return check(sense::kNoMedium);
      case TrayNotice::kMediumChanged:
        return check(sense::kMediumChanged);
      case TrayNotice::kNone:
        break;
    }
  }
  if (command == nullptr) {
    log_guest_error("cd: unknown command 0x", hex(cdb[0], 2));
    return check(sense::kInvalidOpcode);
  }
  if ((command->flags & kNeedsMedium) != 0 && (tray.open() || !medium.present))
    return check(sense::kNoMedium);
  if (!allowed_in_ua) sense = {};
  return (this->*command->run)({cdb, medium});
}

void AtapiUnit::fail_read() {
  sense = sense::kReadFailed;
}

void AtapiUnit::reset() {
  sense = {};
  tray.reset();
}

AtapiReply AtapiUnit::test_unit_ready(const Call&) {
  return {};
}

AtapiReply AtapiUnit::request_sense(const Call& c) {
  const Sense reported = std::exchange(sense, {});
  return data(sense_data(reported), c.cdb[4]);
}

AtapiReply AtapiUnit::inquiry(const Call& c) {
  const bool page_wanted = (c.cdb[1] & 1) != 0;
  if (!page_wanted && c.cdb[2] != 0) return invalid_field();
  AtapiData out = page_wanted ? inquiry_page(identity, c.cdb[2]) : inquiry_data(identity);
  if (out.empty()) return invalid_field();
  return data(std::move(out), c.be16(3));
}

AtapiReply AtapiUnit::start_stop(const Call& c) {
  const bool start = (c.cdb[4] & 1) != 0, load_eject = (c.cdb[4] & 2) != 0;
  const bool power_condition = (c.cdb[4] & 0xf0) != 0;
  if (power_condition || !load_eject) return {};
  if (start) {
    tray.guest_load(c.medium.present);
  } else if (!tray.guest_eject()) {
    return check(sense::kRemovalPrevented);
  }
  return {};
}

AtapiReply AtapiUnit::prevent_allow(const Call& c) {
  tray.guest_set_locked((c.cdb[4] & 1) != 0);
  return {};
}

AtapiReply AtapiUnit::read_capacity(const Call& c) {
  AtapiData out(8);
  store_be<uint32_t>(&out[0], c.medium.sectors - 1);
  store_be<uint32_t>(&out[4], kCdSectorBytes);
  return data(std::move(out), 8);
}

AtapiReply AtapiUnit::read_10(const Call& c) {
  return read_sectors(c, {.lba = c.be32(2), .sectors = c.be16(7)});
}

AtapiReply AtapiUnit::read_12(const Call& c) {
  return read_sectors(c, {.lba = c.be32(2), .sectors = c.be32(6)});
}

AtapiReply AtapiUnit::read_sectors(const Call& c, ReadPlan plan) {
  if (plan.sectors == 0) return {};
  if (plan.lba >= c.medium.sectors || plan.sectors > c.medium.sectors - plan.lba)
    return check(sense::kLbaOutOfRange);
  return {.kind = AtapiReply::Kind::kRead, .read = plan};
}

AtapiReply AtapiUnit::seek(const Call& c) {
  if (c.be32(2) >= c.medium.sectors) return check(sense::kLbaOutOfRange);
  return {};
}

AtapiReply AtapiUnit::read_toc(const Call& c) {
  // The format moved from byte 9 (SFF-8020i) to byte 2 (MMC); both are in use.
  const auto format = static_cast<uint8_t>((c.cdb[2] & 0x0f) != 0 ? c.cdb[2] & 0x0f : c.cdb[9] >> 6);
  AtapiData out = toc_data(c.medium, format, (c.cdb[1] & 2) != 0, c.cdb[6]);
  if (out.empty()) return invalid_field();
  return data(std::move(out), c.be16(7));
}

AtapiReply AtapiUnit::get_configuration(const Call& c) {
  const unsigned request = c.cdb[1] & 3;
  if (request == 3) return invalid_field();
  return data(configuration_data(c.medium, tray.open(), request, c.be16(2)), c.be16(7));
}

AtapiReply AtapiUnit::get_event_status(const Call& c) {
  constexpr uint8_t kOperational = 1 << 1, kMedia = 1 << 4, kNoEventAvailable = 0x80;
  if ((c.cdb[1] & 1) == 0) return invalid_field();  // asynchronous notification is not offered
  const uint8_t wanted = c.cdb[4] & (kOperational | kMedia);
  const uint16_t allocation = c.be16(7);
  if (wanted == 0) return data({0, 2, kNoEventAvailable, kOperational | kMedia}, allocation);
  if ((wanted & kMedia) == 0)  // the drive's abilities never change
    return data({0, 6, 1, kOperational | kMedia, 0, 0, 0, 0}, allocation);
  AtapiData out = {0, 6, 4, kOperational | kMedia, 0, 0, 0, 0};
  // A reply too short to hold the event does not use it up.
  if (allocation > 4) out[4] = static_cast<uint8_t>(tray.take_event(c.medium.present));
  out[5] = tray.open() ? 1 : c.medium.present ? 2 : 0;
  return data(std::move(out), allocation);
}

AtapiReply AtapiUnit::read_disc_information(const Call& c) {
  if ((c.cdb[1] & 7) != 0) return invalid_field();
  return data(disc_information(), c.be16(7));
}

AtapiReply AtapiUnit::mode_sense(const Call& c) {
  const unsigned control = c.cdb[2] >> 6;
  if (control == 3) return check(sense::kSavingUnsupported);
  AtapiData out = mode_page_data(c.medium, tray, c.cdb[2] & 0x3f, control);
  if (out.empty()) return invalid_field();
  return data(std::move(out), c.be16(7));
}

AtapiReply AtapiUnit::read_dvd_structure(const Call& c) {
  const uint8_t format = c.cdb[7], layer = c.cdb[6];
  const bool of_disc = format < 0xc0;                  // the rest is about the drive, MMC-5 table 410
  if ((c.cdb[1] & 0x0f) != 0) return invalid_field();  // Blu-ray
  if (of_disc && !c.medium.is_dvd()) return check(sense::kIncompatibleMedium);
  if (of_disc && layer != 0) return invalid_field();
  AtapiData out = dvd_structure(c.medium, format);
  if (out.empty()) return invalid_field();
  return data(std::move(out), c.be16(8));
}

AtapiReply AtapiUnit::set_speed(const Call&) {
  return {};
}

AtapiReply AtapiUnit::mechanism_status(const Call& c) {
  // One slot, no changer; byte 1 tells of an open door.
  return data({0, static_cast<uint8_t>(tray.open() ? 0x10 : 0), 0, 0, 0, 1, 0, 0}, c.be16(8));
}

AtapiReply AtapiUnit::read_cd(const Call& c) {
  ReadPlan plan{.lba = c.be32(2), .sectors = c.be32(5) & 0xff'ffff};
  switch (c.cdb[9] & 0xf8) {
    case 0x00:  // nothing is to be transferred
      return {};
    case 0x10:  // user data
      break;
    case 0xf8:  // whole sectors
      plan.sector_bytes = kCdRawSectorBytes;
      break;
    default:
      return invalid_field();
  }
  return read_sectors(c, plan);
}

void make_raw_sector(std::span<uint8_t, kCdRawSectorBytes> sector, uint32_t lba) {
  const auto bcd = [](uint8_t v) { return static_cast<uint8_t>(v / 10 << 4 | v % 10); };
  const Msf at(lba);
  sector[0] = 0;
  std::memset(&sector[1], 0xff, 10);
  sector[11] = 0;
  sector[12] = bcd(at.m);
  sector[13] = bcd(at.s);
  sector[14] = bcd(at.f);
  sector[15] = 1;
  std::memset(&sector[16 + kCdSectorBytes], 0, kCdRawSectorBytes - 16 - kCdSectorBytes);
}

}  // namespace rhea
