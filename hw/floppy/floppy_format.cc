#include "hw/floppy/floppy_format.h"

#include <algorithm>

namespace rhea {

namespace {

using enum FloppyDriveType;
using enum FloppyRate;

// Of one size the first counts where the drive leaves a choice; the first of a drive is its usual one.
constexpr FloppyFormat kFormats[] = {
    // 3.5 inch, high density
    {k144, 18, 80, 2, k500K},
    {k144, 20, 80, 2, k500K},
    {k144, 21, 80, 2, k500K},
    {k144, 21, 82, 2, k500K},
    {k144, 21, 83, 2, k500K},
    {k144, 22, 80, 2, k500K},
    {k144, 23, 80, 2, k500K},
    {k144, 24, 80, 2, k500K},
    // 3.5 inch, extra density
    {k288, 36, 80, 2, k1M},
    {k288, 39, 80, 2, k1M},
    {k288, 40, 80, 2, k1M},
    {k288, 44, 80, 2, k1M},
    {k288, 48, 80, 2, k1M},
    // 3.5 inch, double density
    {k144, 9, 80, 2, k250K},
    {k144, 10, 80, 2, k250K},
    {k144, 10, 82, 2, k250K},
    {k144, 10, 83, 2, k250K},
    {k144, 13, 80, 2, k250K},
    {k144, 14, 80, 2, k250K},
    // 5.25 inch, high density
    {k120, 15, 80, 2, k500K},
    {k120, 18, 80, 2, k500K},
    {k120, 18, 82, 2, k500K},
    {k120, 18, 83, 2, k500K},
    {k120, 20, 80, 2, k500K},
    // 5.25 inch, double density with 80 tracks
    {k120, 9, 80, 2, k250K},
    {k120, 11, 80, 2, k250K},
    // 5.25 inch, double density; 40 tracks turn faster than they were written
    {k120, 9, 40, 2, k300K},
    {k120, 9, 40, 1, k300K},
    {k120, 10, 41, 2, k300K},
    {k120, 10, 42, 2, k300K},
    {k120, 8, 40, 2, k250K},
    {k120, 8, 40, 1, k250K},
    // 3.5 inch, one side
    {k144, 9, 80, 1, k250K},
};

constexpr bool same_disk_size(FloppyDriveType a, FloppyDriveType b) {
  return (a == k120) == (b == k120);
}

}  // namespace

const FloppyFormat& floppy_format(FloppyDriveType type, uint64_t sectors) {
  const FloppyFormat *fits = nullptr, *usual = nullptr;
  for (const FloppyFormat& f : kFormats) {
    const bool same_size = f.total_sectors() == sectors;
    if (f.drive == type && same_size) return f;
    if (fits == nullptr && same_size && same_disk_size(f.drive, type)) fits = &f;
    if (usual == nullptr && f.drive == type) usual = &f;
  }
  return fits != nullptr ? *fits : *usual;
}

const FloppyFormat* find_floppy_format(uint64_t sectors) {
  for (const FloppyFormat& f : kFormats)
    if (f.total_sectors() == sectors) return &f;
  return nullptr;
}

FloppyLimits floppy_limits(FloppyDriveType type) {
  FloppyLimits most;
  for (const FloppyFormat& f : kFormats) {
    if (f.drive != type) continue;
    most.tracks = std::max(most.tracks, f.tracks);
    most.sectors = std::max(most.sectors, f.sectors);
    most.heads = std::max(most.heads, f.heads);
  }
  return most;
}

uint8_t floppy_cmos_type(FloppyDriveType type) {
  switch (type) {
    case k120:
      return 2;
    case k144:
      return 4;
    case k288:
      return 5;
    default:
      return 0;
  }
}

}  // namespace rhea
