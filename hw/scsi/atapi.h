// The logical unit of a CD drive, behind PACKET or on a SCSI bus: CDBs in, replies, sense data and plans for
// reading out. Knows neither registers nor storage. Spec: MMC-5 (T10/1675D), SPC-3 (T10/1416D); READ CD and
// mode pages also SFF-8020i.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hw/scsi/sense.h"
#include "hw/scsi/tray.h"

namespace rhea {

inline constexpr size_t kCdbBytes = 12;
inline constexpr uint32_t kCdSectorBytes = 2048;
inline constexpr uint32_t kCdRawSectorBytes = 2352;

using Cdb = std::array<uint8_t, kCdbBytes>;  // guest-controlled

/// Sectors to read; `sector_bytes` is 2048, or 2352 for raw sectors made around the data.
struct ReadPlan {
  uint32_t lba = 0;
  uint32_t sectors = 0;
  uint32_t sector_bytes = kCdSectorBytes;
  uint64_t bytes() const { return uint64_t{sectors} * sector_bytes; }
};

/// What a command comes to.
struct AtapiReply {
  enum class Kind : uint8_t { kGood, kCheck, kData, kRead };
  Kind kind = Kind::kGood;
  std::vector<uint8_t> data;  ///< kData: cut to the allocation length, not empty
  ReadPlan read;              ///< kRead: inside the medium, not empty
};

/// What INQUIRY and IDENTIFY tell; the defaults are those of a CD drive.
struct DriveIdentity {
  std::string model = "QEMU DVD-ROM";
  std::string serial;
  std::string version = "2.5+";
  uint64_t wwn = 0;
};

/// What is on the tray, open or closed; 0 sectors of 2048 bytes: nothing.
struct CdMedium {
  bool present = false;
  uint32_t sectors = 0;
  /// More than an 80-minute CD holds.
  bool is_dvd() const { return present && sectors > 80 * 60 * 75; }
};

/// The logical unit. Machine lock.
class AtapiUnit {
 public:
  DriveIdentity identity;
  Tray tray;
  Sense sense;

  /// Carries out a command; kRead leaves the reading to the caller. A failure leaves `sense` set.
  AtapiReply execute(const Cdb& cdb, const CdMedium& medium);
  /// The read under way failed on the host's side.
  void fail_read();
  void reset();

 private:
  struct Command;
  struct Call;
  static const Command* find(uint8_t opcode);
  AtapiReply check(const Sense& failure);
  AtapiReply invalid_field() { return check(sense::kInvalidField); }
  static AtapiReply data(std::vector<uint8_t> bytes, size_t allocation);

  AtapiReply test_unit_ready(const Call&);
  AtapiReply request_sense(const Call&);
  AtapiReply inquiry(const Call&);
  AtapiReply start_stop(const Call&);
  AtapiReply prevent_allow(const Call&);
  AtapiReply read_capacity(const Call&);
  AtapiReply read_10(const Call&);
  AtapiReply read_12(const Call&);
  AtapiReply read_sectors(const Call&, ReadPlan plan);
  AtapiReply seek(const Call&);
  AtapiReply read_toc(const Call&);
  AtapiReply get_configuration(const Call&);
  AtapiReply get_event_status(const Call&);
  AtapiReply read_disc_information(const Call&);
  AtapiReply mode_sense(const Call&);
  AtapiReply read_dvd_structure(const Call&);
  AtapiReply set_speed(const Call&);
  AtapiReply mechanism_status(const Call&);
  AtapiReply read_cd(const Call&);
};

/// Puts sync, header and empty error codes around the 2048 bytes at `sector + 16` (mode 1, ECMA-130 14).
void make_raw_sector(std::span<uint8_t, kCdRawSectorBytes> sector, uint32_t lba);

}  // namespace rhea
