// IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data. Spec: ATA/ATAPI-6 8.15, 8.16; words 69, 106, 169 and 217
// ACS-2 7.18.
#pragma once

#include <array>
#include <cstdint>

#include "hw/block/hd_geometry.h"
#include "hw/scsi/atapi.h"

namespace rhea {

/// The transfer mode SET FEATURES chose; one of single-word (0..2), multiword (0..2) and Ultra (0..5) DMA, or
/// none.
struct TransferMode {
  static constexpr uint8_t kNone = 0xff;
  uint8_t multiword = kNone;
  uint8_t ultra = 5;
  uint8_t singleword = kNone;
  /// Takes the Sector Count of SET FEATURES 03h (table 50); false: no such mode.
  bool set(uint8_t value);
  friend bool operator==(const TransferMode&, const TransferMode&) = default;
};

using IdentifyData = std::array<uint8_t, 512>;

IdentifyData identify_packet_device(const DriveIdentity& id, const TransferMode& mode);

/// What IDENTIFY DEVICE tells of a hard disk.
struct DiskDescription {
  const DriveIdentity& identity;
  TransferMode mode;
  HdGeometry geometry;     ///< as made
  HdGeometry translation;  ///< as INITIALIZE DEVICE PARAMETERS left it
  uint64_t sectors = 0;    ///< that can be addressed
  uint8_t multiple = 0;    ///< sectors of READ MULTIPLE; 0: not set
  uint8_t max_multiple = 16;
  bool write_cache = false;
  unsigned physical_exponent = 0;  ///< physical sectors are 2^n logical ones
  bool trim = false;
  uint16_t rotation_rate = 0;
};
IdentifyData identify_device(const DiskDescription& disk);
/// Words 54 to 56 and the enabled write cache of such data.
HdGeometry translation_of(const IdentifyData& data);
bool write_cache_of(const IdentifyData& data);

/// The mode such data tells of; false if it tells of none that can be.
bool transfer_mode_of(const IdentifyData& data, TransferMode& mode);

}  // namespace rhea
