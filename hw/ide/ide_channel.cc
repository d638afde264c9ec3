#include "hw/ide/ide_channel.h"

#include "hw/ide/ide_dma.h"
#include "util/log.h"

namespace rhea {

using namespace ata;

void IdeChannel::set_pending(bool on) {
  pending_ = on;
  intrq.set(pending_ && (control_ & kNoInterrupt) == 0);
}

void IdeChannel::raise_interrupt() {
  set_pending(true);
}

// --- reading

uint8_t IdeChannel::read_register(unsigned reg) {
  const IdeUnit& u = selected();
  // A packet device alone on the channel answers zero for the other one (9.16.3); an empty channel likewise.
  if (!present(u)) return 0;
  const TaskFile& r = u.regs;
  const bool before = (control_ & kHighOrder) != 0;
  switch (reg) {
    case kErrorFeature:
      return r.error;
    case kSectorCount:
      return before ? r.hob_sector_count : r.sector_count;
    case kLbaLow:
      return before ? r.hob_lba_low : r.lba_low;
    case kLbaMid:
      return before ? r.hob_lba_mid : r.lba_mid;
    case kLbaHigh:
      return before ? r.hob_lba_high : r.lba_high;
    case kDevice:
      return r.device;
    case kStatusCommand:
      set_pending(false);
      return r.status;
    default:
      return 0xff;
  }
}

uint8_t IdeChannel::read_alternate_status() const {
  return status_of(units[selected_]);
}

uint32_t IdeChannel::read_data(unsigned bytes) {
  IdeUnit& u = selected();
  PioTransfer& pio = u.pio;
  if ((status_of(u) & kDrq) == 0 || pio.from_host || pio.pos == pio.end) {
    log_guest_error("ide: data read while there is none");
    return 0;
  }
  uint32_t value = 0;
  for (unsigned i = 0; i < bytes && pio.pos < pio.end; ++i) value |= uint32_t{pio.data[pio.pos++]} << (8 * i);
  if (pio.pos == pio.end) {
    u.regs.status &= static_cast<uint8_t>(~kDrq);
    u.drive->pio_done(pio.then);
  }
  return value;
}

// --- writing

void IdeChannel::write_data(uint32_t value, unsigned bytes) {
  IdeUnit& u = selected();
  PioTransfer& pio = u.pio;
  if ((status_of(u) & kDrq) == 0 || !pio.from_host || pio.pos == pio.end) {
    log_guest_error("ide: data written while none is awaited");
    return;
  }
  for (unsigned i = 0; i < bytes && pio.pos < pio.end; ++i)
    pio.data[pio.pos++] = static_cast<uint8_t>(value >> (8 * i));
  if (pio.pos == pio.end) {
    u.regs.status &= static_cast<uint8_t>(~kDrq);
    u.drive->pio_done(pio.then);
  }
}

void IdeChannel::write_both(uint8_t value, uint8_t TaskFile::*now, uint8_t TaskFile::*before) {
  for (auto& u : units) {
    u.regs.*before = u.regs.*now;
    u.regs.*now = value;
  }
}

void IdeChannel::write_register(unsigned reg, uint8_t value) {
  control_ &= static_cast<uint8_t>(~kHighOrder);
  // 7.x: written while BSY or DRQ is set, these have no effect.
  const bool busy = (status_of(selected()) & (kBsy | kDrq)) != 0;
  if (busy && reg < kDevice) return;
  switch (reg) {
    case kErrorFeature:
      return write_both(value, &TaskFile::feature, &TaskFile::hob_feature);
    case kSectorCount:
      return write_both(value, &TaskFile::sector_count, &TaskFile::hob_sector_count);
    case kLbaLow:
      return write_both(value, &TaskFile::lba_low, &TaskFile::hob_lba_low);
    case kLbaMid:
      return write_both(value, &TaskFile::lba_mid, &TaskFile::hob_lba_mid);
    case kLbaHigh:
      return write_both(value, &TaskFile::lba_high, &TaskFile::hob_lba_high);
    case kDevice:
      for (auto& u : units) u.regs.device = value | kDeviceOnes;
      selected_ = (value & kDeviceUnit) != 0 ? 1 : 0;
      return;
    case kStatusCommand:
      return command(value);
    default:
      return;
  }
}

void IdeChannel::command(uint8_t opcode) {
  IdeUnit& u = selected();
  set_pending(false);
  if ((control_ & kSoftReset) != 0) return;
  if (opcode == kExecuteDiagnostic) return execute_diagnostic();
  if (!present(u)) return;
  if (opcode == kDeviceReset && u.drive->is_packet_device()) return begin_reset(u);
  if ((u.regs.status & (kBsy | kDrq)) != 0) {
    log_guest_error("ide: command 0x", hex(opcode, 2), " while busy");
    return;
  }
  u.regs.error = 0;
  u.regs.status = kReady;
  if (!u.drive->execute(opcode)) fail_command(u, kAbort);
}

void IdeChannel::fail_command(IdeUnit& unit, uint8_t error) {
  unit.regs.error = error;
  unit.regs.status = kFailed;
  raise_interrupt();
}

void IdeChannel::start_pio(IdeUnit& unit, bool interrupt) {
  unit.regs.status = kReady | kDrq;
  if (interrupt) raise_interrupt();
}

// --- reset

void IdeChannel::execute_diagnostic() {  // 8.11: both units, whichever is selected
  bool any = false;
  for (auto& u : units) {
    if (!present(u)) continue;
    any = true;
    if ((u.regs.status & kBsy) != 0) return;
  }
  selected_ = 0;
  for (auto& u : units) {
    u.regs.device = kDeviceOnes;
    if (!present(u)) continue;
    u.drive->cancel();
    u.pio.clear();
    u.drive->set_signature();
  }
  if (any) raise_interrupt();
}

void IdeChannel::write_control(uint8_t value) {
  const uint8_t old = control_;
  control_ = value;
  set_pending(pending_);
  const bool was = (old & kSoftReset) != 0, is = (value & kSoftReset) != 0;
  if (was == is) return;
  for (auto& u : units) {
    if (!present(u)) continue;
    if (is) {
      u.drive->cancel();
      u.pio.clear();
      u.regs.status = kBsy;
    } else {
      u.regs.device = kDeviceOnes;
      begin_reset(u);
    }
  }
  if (is) set_pending(false);
  if (!is) selected_ = 0;
}

void IdeChannel::begin_reset(IdeUnit& u) {
  u.drive->cancel();
  u.pio.clear();
  if (u.drive->is_quiet()) return finish_reset(u);
  u.regs.status = kBsy;
  resetting_[&u == &units[1]] = true;
}

void IdeChannel::finish_reset(IdeUnit& u) {
  u.drive->bus_reset();
  u.drive->set_signature();
}

void IdeChannel::drive_quiet(IdeUnit& u) {
  if (!std::exchange(resetting_[&u == &units[1]], false)) return;
  if ((control_ & kSoftReset) == 0) finish_reset(u);
}

void IdeChannel::reset() {
  control_ = 0;
  selected_ = 0;
  set_pending(false);
  for (auto& u : units) {
    u.regs = TaskFile();
    u.pio.clear();
    if (present(u)) begin_reset(u);
  }
}

}  // namespace rhea
