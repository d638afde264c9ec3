// Cylinders, heads and sectors of a hard disk, and how firmware is to translate them. Facts: PC firmware
// counts cylinders up to 1024, ATA heads up to 16; a partition table tells by its end addresses which
// geometry it was made with. Spec: ATA-3 6.2, T13 EDD-3 (translation methods).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "qom/object.h"
#include "util/result.h"

namespace rhea {

/// How firmware makes its geometry out of the disk's.
enum class BiosAtaTranslation : uint8_t { kAuto, kNone, kLba, kLarge, kRechs };
template <>
struct EnumTraits<BiosAtaTranslation> {
  static constexpr const char* kTypeName = "BiosAtaTranslation";
  static constexpr EnumName<BiosAtaTranslation> kNames[] = {{BiosAtaTranslation::kAuto, "auto"},
                                                            {BiosAtaTranslation::kNone, "none"},
                                                            {BiosAtaTranslation::kLba, "lba"},
                                                            {BiosAtaTranslation::kLarge, "large"},
                                                            {BiosAtaTranslation::kRechs, "rechs"}};
};

struct HdGeometry {
  uint32_t cyls = 0, heads = 0, secs = 0;
  bool given() const { return cyls != 0 || heads != 0 || secs != 0; }
  friend bool operator==(const HdGeometry&, const HdGeometry&) = default;
};

/// The largest values a kind of disk can have.
struct HdGeometryLimits {
  uint32_t cyls, heads, secs;
};

/// The translation a disk of this geometry needs.
BiosAtaTranslation translation_for(const HdGeometry& g);

/// A geometry and its translation.
struct HdGeometryGuess {
  HdGeometry geometry;
  BiosAtaTranslation translation = BiosAtaTranslation::kNone;
};
/// What a disk of `sectors` with this first sector (guest-controlled) was used with.
HdGeometryGuess guess_geometry(std::span<const uint8_t, 512> first_sector, uint64_t sectors);

/// "cyls must be between 1 and 65535" …
Result<> check_geometry(const HdGeometry& g, const HdGeometryLimits& limits);

/// A disk for which the user told the firmware which geometry to show ("lcyls" …).
class LegacyGeometrySource {
 public:
  virtual ~LegacyGeometrySource() = default;
  virtual HdGeometry legacy_geometry() const = 0;
};

}  // namespace rhea
