// CMOS bytes that firmware reads: memory, floppy drives, boot order.
#include <algorithm>

#include "hw/floppy/isa_fdc.h"
#include "hw/i386/pc_build.h"
#include "hw/rtc/mc146818.h"
#include "util/log.h"

namespace rhea {

namespace {

uint8_t boot_code(char letter) {
  switch (letter) {
    case 'a':
    case 'b':
      return 1;
    case 'c':
      return 2;
    case 'd':
      return 3;
    case 'n':
      return 4;
    default:
      return 0;
  }
}

}  // namespace

// CMOS bytes as PC firmware reads them (Bochs/SeaBIOS conventions).
void PcMachine::set_cmos_memory() {
  auto set16 = [&](uint8_t at, uint64_t v) {
    rtc_->set_cmos(at, static_cast<uint8_t>(v));
    rtc_->set_cmos(static_cast<uint8_t>(at + 1), static_cast<uint8_t>(v >> 8));
  };
  const uint64_t total = below_4g_;
  set16(0x15, std::min<uint64_t>(total / 1024, 640));  // base memory, KiB
  const uint64_t extended =
      total > kMiB ? std::min<uint64_t>((total - kMiB) / 1024, 65535) : 0;  // KiB above 1 MiB
  set16(0x17, extended);
  set16(0x30, extended);
  set16(0x34, total > 16 * kMiB ? std::min<uint64_t>((total - 16 * kMiB) / 65536, 65535)
                                : 0);  // 64 KiB above 16 MiB
  for (uint8_t i = 0; i < 3; ++i)
    rtc_->set_cmos(static_cast<uint8_t>(0x5b + i), static_cast<uint8_t>(above_4g_ / 65536 >> (8 * i)));
  rtc_->set_cmos(0x5f, static_cast<uint8_t>(context_->config.smp.cpus - 1));
}

/// The drives of the controller at the usual place.
void PcMachine::set_cmos_floppies() {
  constexpr uint8_t kFpuAndMouse = 0x06, kOneFloppy = 0x01, kTwoFloppies = 0x41;
  unsigned controllers = 0;
  for_each_device(*this, [&](Device& d) {
    const auto* fdc = dynamic_cast<IsaFdc*>(&d);
    if (fdc != nullptr && fdc->iobase == fdc_->iobase) ++controllers;
  });
  if (controllers > 1)
    warn_report(str_cat("multiple floppy disk controllers with iobase=0x", hex(fdc_->iobase),
                        " have been found; the one the machine made is used for CMOS setup"));
  std::array<uint8_t, FloppyBus::kDrives> types{};
  int drives = 0;
  for (unsigned n = 0; n < types.size(); ++n) {
    const FloppyDrive* drive = fdc_->floppy_bus().drive(n);
    types[n] = drive != nullptr ? floppy_cmos_type(drive->drive_type) : 0;
    drives += types[n] != 0;
  }
  rtc_->set_cmos(0x10, static_cast<uint8_t>(types[0] << 4 | types[1]));
  const uint8_t equipment = drives == 0 ? 0 : drives == 1 ? kOneFloppy : kTwoFloppies;
  rtc_->set_cmos(0x14, kFpuAndMouse | equipment);
}

Result<> PcMachine::check_boot_order(std::string_view order) {
  if (order.size() > 3) return fail(EINVAL, "Too many boot devices for PC");
  for (const char letter : order)
    if (boot_code(letter) == 0) return fail(EINVAL, "Invalid boot device for PC: '", letter, "'");
  return {};
}

Result<> PcMachine::set_boot_order(std::string_view order) {
  for (const char letter : order)
    if (letter < 'a' || letter > 'p') return fail(EINVAL, "Invalid boot device '", letter, "'");
  TRY(check_boot_order(order));
  boot_once_ = false;
  set_cmos_boot(order);
  return {};
}

void PcMachine::set_cmos_boot(std::string_view order) {
  constexpr uint8_t kNoSignatureCheck = 1;
  std::array<uint8_t, 3> codes{};
  for (size_t i = 0; i < codes.size() && i < order.size(); ++i) codes[i] = boot_code(order[i]);
  rtc_->set_cmos(0x3d, static_cast<uint8_t>(codes[1] << 4 | codes[0]));
  const bool check = context_->config.boot.floppy_signature_check;
  rtc_->set_cmos(0x38, static_cast<uint8_t>(codes[2] << 4 | (check ? 0 : kNoSignatureCheck)));
}

}  // namespace rhea
