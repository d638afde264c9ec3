#include "hw/block/hd_geometry.h"

#include <algorithm>
#include <optional>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint32_t kMaxCyls = 16383, kMinCyls = 2, kHeads = 16, kSecs = 63;  // of disks without a history

/// The usual geometry of a disk of that size.
HdGeometry standard_geometry(uint64_t sectors) {
  const uint64_t cyls = std::clamp<uint64_t>(sectors / (kHeads * kSecs), kMinCyls, kMaxCyls);
  return {static_cast<uint32_t>(cyls), kHeads, kSecs};
}

/// The geometry by which a partition ends where a cylinder does.
std::optional<HdGeometry> partition_geometry(std::span<const uint8_t, 512> mbr, uint64_t sectors) {
  if (mbr[510] != 0x55 || mbr[511] != 0xaa) return std::nullopt;
  for (size_t i = 0; i < 4; ++i) {
    const uint8_t* entry = &mbr[0x1be + 16 * i];
    const uint32_t end_head = entry[5], end_sector = entry[6] & 0x3f, length = load_le<uint32_t>(entry + 12);
    if (length == 0 || end_head == 0 || end_sector == 0) continue;
    const uint64_t cyls = sectors / ((end_head + 1) * end_sector);
    if (cyls >= 1 && cyls <= kMaxCyls)
      return HdGeometry{static_cast<uint32_t>(cyls), end_head + 1, end_sector};
  }
  return std::nullopt;
}

}  // namespace

BiosAtaTranslation translation_for(const HdGeometry& g) {
  const bool fits = g.cyls <= 1024 && g.heads <= 16 && g.secs <= 63;
  return fits ? BiosAtaTranslation::kNone : BiosAtaTranslation::kLba;
}

HdGeometryGuess guess_geometry(std::span<const uint8_t, 512> first_sector, uint64_t sectors) {
  const std::optional<HdGeometry> used = partition_geometry(first_sector, sectors);
  const HdGeometry standard = standard_geometry(sectors);
  if (!used) return {standard, translation_for(standard)};
  // No disk has so many heads: a translation was in use.
  if (used->heads > kHeads) {
    const bool large = standard.cyls * standard.heads <= 131072;
    return {standard, large ? BiosAtaTranslation::kLarge : BiosAtaTranslation::kLba};
  }
  return {*used, BiosAtaTranslation::kNone};  // firmware has to go on as it did
}

Result<> check_geometry(const HdGeometry& g, const HdGeometryLimits& limits) {
  if (g.cyls < 1 || g.cyls > limits.cyls) return fail(EINVAL, "cyls must be between 1 and ", limits.cyls);
  if (g.heads < 1 || g.heads > limits.heads)
    return fail(EINVAL, "heads must be between 1 and ", limits.heads);
  if (g.secs < 1 || g.secs > limits.secs) return fail(EINVAL, "secs must be between 1 and ", limits.secs);
  return {};
}

}  // namespace rhea
