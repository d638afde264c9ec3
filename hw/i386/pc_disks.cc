// What the board tells firmware of its hard disks.
#include "hw/i386/pc.h"
#include "hw/ide/ide_hd.h"
#include "hw/ide/piix3_ide.h"
#include "hw/rtc/mc146818.h"

namespace rhea {

/// Hard disks as PC firmware of the eighties wants them: types 0x12, 0x19 and 0x1a, parameters from 0x1b and
/// 0x24, and the translation of all four in 0x39.
void PcMachine::set_cmos_disks() {
  constexpr uint8_t kUserType = 47, kNoPrecompensation = 0xff;
  auto disk = [this](unsigned n) {
    return dynamic_cast<IdeHd*>(ide_->channel(static_cast<int>(n / 2)).units[n % 2].drive);
  };
  uint8_t types = 0, translations = 0;
  for (unsigned n = 0; n < 4; ++n) {
    const IdeHd* const hd = disk(n);
    if (hd == nullptr) continue;
    const auto translation =
        static_cast<unsigned>(hd->translation()) - static_cast<unsigned>(BiosAtaTranslation::kNone);
    translations |= static_cast<uint8_t>(translation << (2 * n));
    if (n > 1) continue;
    types |= n == 0 ? 0xf0 : 0x0f;
    rtc_->set_cmos(static_cast<uint8_t>(0x19 + n), kUserType);
    const HdGeometry& g = hd->geometry();
    const uint8_t control = g.heads > 8 ? 0xc8 : 0xc0;
    const auto low = static_cast<uint8_t>(g.cyls), high = static_cast<uint8_t>(g.cyls >> 8);
    const uint8_t parameters[] = {
        low, high, static_cast<uint8_t>(g.heads), kNoPrecompensation, kNoPrecompensation, control,
        low, high, static_cast<uint8_t>(g.secs)};
    uint8_t at = n == 0 ? 0x1b : 0x24;
    for (const uint8_t byte : parameters) rtc_->set_cmos(at++, byte);
  }
  rtc_->set_cmos(0x12, types);
  rtc_->set_cmos(0x39, translations);
}

/// The fw_cfg file of the geometries users want firmware to show: "PATH CYLS HEADS SECS" a line.
std::string PcMachine::bios_geometry() {
  std::string out;
  for_each_device(*this, [&](Device& d) {
    const auto* const disk = dynamic_cast<const LegacyGeometrySource*>(&d);
    const HdGeometry g = disk != nullptr ? disk->legacy_geometry() : HdGeometry();
    if (!g.given()) return;
    if (!out.empty()) out += '\n';
    str_append(out, firmware_path(d), " ", g.cyls, " ", g.heads, " ", g.secs);
  });
  if (!out.empty()) out += '\0';
  return out;
}

}  // namespace rhea
