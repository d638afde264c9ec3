// Floppy formats: which track layout a disk of some size has, and what kind of drive it needs.
#pragma once

#include <cstdint>

#include "qom/object.h"

namespace rhea {

/// Kinds of drives, as the "drive-type" property names them.
enum class FloppyDriveType : uint8_t {
  k144,   ///< 3.5 inch, high density
  k288,   ///< 3.5 inch, extra density
  k120,   ///< 5.25 inch, high density
  kNone,  ///< no drive
  kAuto   ///< as the disk asks
};
template <>
struct EnumTraits<FloppyDriveType> {
  static constexpr const char* kTypeName = "FdcDriveType";
  static constexpr EnumName<FloppyDriveType> kNames[] = {{FloppyDriveType::k144, "144"},
                                                         {FloppyDriveType::k288, "288"},
                                                         {FloppyDriveType::k120, "120"},
                                                         {FloppyDriveType::kNone, "none"},
                                                         {FloppyDriveType::kAuto, "auto"}};
};

/// DRATE SEL of CCR and DSR (82078 2.1.6).
enum class FloppyRate : uint8_t { k500K = 0, k300K = 1, k250K = 2, k1M = 3 };

inline constexpr uint32_t kFloppySectorBytes = 512;

struct FloppyFormat {
  FloppyDriveType drive;
  uint8_t sectors;  ///< on a track, numbered from 1
  uint8_t tracks;   ///< on a side
  uint8_t heads;
  FloppyRate rate;
  constexpr uint32_t total_sectors() const { return uint32_t{sectors} * tracks * heads; }
};

/// The format of a disk of `sectors` sectors in a drive of `type`, which is neither kNone nor kAuto: one that
/// the drive was made for if there is one, else one of its size of disks, else the drive's usual one.
const FloppyFormat& floppy_format(FloppyDriveType type, uint64_t sectors);
/// The first format of that size in any drive; null if no floppy has it.
const FloppyFormat* find_floppy_format(uint64_t sectors);
/// The most tracks, sectors and heads of any format of that drive; zeroes for kNone.
struct FloppyLimits {
  uint8_t tracks = 0, sectors = 0, heads = 0;
};
FloppyLimits floppy_limits(FloppyDriveType type);
/// What CMOS byte 0x10 calls a drive of this type; 0: none.
uint8_t floppy_cmos_type(FloppyDriveType type);

}  // namespace rhea
