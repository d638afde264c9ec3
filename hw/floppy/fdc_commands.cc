// Which commands there are, and those that move no data. Data sheet chapter 5.
#include <algorithm>

#include "hw/floppy/fdc.h"
#include "hw/floppy/fdc_bits.h"

namespace rhea {

using namespace fdc;

namespace {
constexpr int64_t kReadIdNs = 20'000'000;  // until an address mark comes by
constexpr uint8_t kVersionEnhanced = 0x90;
constexpr uint8_t kPartId = 0x41;  // stepping 1
constexpr uint8_t kTrackAnyDisk = 255;
constexpr uint8_t kDriveSpecification = 0x8e, kSpecificationDone = 0x80, kSpecificationQuiet = 0x40;
constexpr unsigned kSpecificationMost = 32;  // more parameters than that are no list
}  // namespace

// The first that fits counts. MT, MFM and SK are the upper bits of the data commands.
const Fdc::Command Fdc::kCommands[] = {
    {0x1f, 0x06, "READ DATA", 8, &Fdc::read_data},
    {0x3f, 0x05, "WRITE DATA", 8, &Fdc::write_data},
    {0xff, 0x0f, "SEEK", 2, &Fdc::seek},
    {0xff, 0x08, "SENSE INTERRUPT STATUS", 0, &Fdc::sense_interrupt},
    {0xff, 0x07, "RECALIBRATE", 1, &Fdc::recalibrate},
    {0xbf, 0x0d, "FORMAT TRACK", 5, &Fdc::format_track},
    {0xbf, 0x02, "READ TRACK", 8, &Fdc::read_track},
    {0xff, 0x4e, "RESTORE", 16, &Fdc::restore},
    {0xff, 0x2e, "SAVE", 0, &Fdc::save},
    {0x1f, 0x0c, "READ DELETED DATA", 8, &Fdc::deleted_data},
    {0x1f, 0x11, "SCAN EQUAL", 8, &Fdc::scan},
    {0x1f, 0x16, "VERIFY", 8, &Fdc::verify},
    {0x1f, 0x19, "SCAN LOW OR EQUAL", 8, &Fdc::scan},
    {0x1f, 0x1d, "SCAN HIGH OR EQUAL", 8, &Fdc::scan},
    {0x3f, 0x09, "WRITE DELETED DATA", 8, &Fdc::deleted_data},
    {0xbf, 0x0a, "READ ID", 1, &Fdc::read_id},
    {0xff, 0x0e, "DUMPREG", 0, &Fdc::dump_registers},
    {0xff, 0x12, "PERPENDICULAR MODE", 1, &Fdc::perpendicular},
    {0xff, 0x13, "CONFIGURE", 3, &Fdc::configure},
    {0xff, 0x03, "SPECIFY", 2, &Fdc::specify},
    {0xff, 0x04, "SENSE DRIVE STATUS", 1, &Fdc::sense_drive},
    {0xff, 0x10, "VERSION", 0, &Fdc::version},
    {0xff, 0x18, "PART ID", 0, &Fdc::part_id},
    {0x7f, 0x14, "LOCK", 0, &Fdc::lock},
    {0xff, 0x17, "POWERDOWN MODE", 2, &Fdc::powerdown_mode},
    {0xff, 0x33, "OPTION", 1, &Fdc::option},
    {0xff, kDriveSpecification, "DRIVE SPECIFICATION", 1, &Fdc::drive_specification},
    {0xff, 0x8f, "RELATIVE SEEK OUT", 2, &Fdc::relative_seek},
    {0xff, 0xcf, "RELATIVE SEEK IN", 2, &Fdc::relative_seek},
    {0x00, 0x00, "INVALID", 0, &Fdc::invalid},
};

const Fdc::Command& Fdc::find_command(uint8_t first) {
  return *std::ranges::find_if(kCommands, [&](const Command& c) { return (first & c.mask) == c.value; });
}

/// DRIVE SPECIFICATION says with its last parameter that it is the last.
bool Fdc::wants_more_parameters() const {
  if (state.command != kDriveSpecification) return state.data_pos < state.data_len;
  if (state.data_pos < 2 || state.data_pos > kSpecificationMost) return state.data_pos < 2;
  return (state.fifo[state.data_pos - 1] & kSpecificationDone) == 0;
}

void Fdc::invalid() {
  state.fifo[0] = kSt0Invalid;
  begin_result(1);
}

// --- status

void Fdc::sense_drive() {
  select_drive();
  FdcUnit& u = unit();
  u.head = state.fifo[1] >> 2 & 1;
  const bool read_only = drive() == nullptr || drive()->read_only();
  state.fifo[0] = static_cast<uint8_t>((read_only ? kSt3Protected : 0) | (u.track == 0 ? kSt3Track0 : 0) |
                                       u.head << 2 | current() | kSt3Ready | kSt3TwoSides);
  begin_result(1);
}

void Fdc::sense_interrupt() {
  if (state.reset_sensei > 0) {
    // After a reset each drive in turn reports that its readiness changed (4.4).
    state.fifo[0] = static_cast<uint8_t>(kSt0Ready + 4 - state.reset_sensei);
    --state.reset_sensei;
    lower_irq();
  } else if ((state.sra & kSraInt) == 0) {
    return invalid();
  } else {
    state.fifo[0] = static_cast<uint8_t>((state.status0 & ~7u) | current());  // the head shows as 0, 5.2.5
    lower_irq();
  }
  state.fifo[1] = unit().track;
  begin_result(2);
}

void Fdc::dump_registers() {
  const FloppyFormat* f = disk();
  state.fifo[0] = state.units[0].track;
  state.fifo[1] = state.units[1].track;
  state.fifo[2] = state.fifo[3] = 0;
  state.fifo[4] = state.timer0;
  state.fifo[5] = static_cast<uint8_t>(state.timer1 << 1 | ((state.dor & kDorDma) != 0 ? 1 : 0));
  state.fifo[6] = f != nullptr ? f->sectors : 0;
  state.fifo[7] = static_cast<uint8_t>(state.lock << 7 | unit().perpendicular << 2);
  state.fifo[8] = state.config;
  state.fifo[9] = state.precomp;
  begin_result(10);
}

void Fdc::version() {
  state.fifo[0] = kVersionEnhanced;
  begin_result(1);
}

void Fdc::part_id() {
  state.fifo[0] = kPartId;
  begin_result(1);
}

// --- settings

void Fdc::specify() {
  state.timer0 = state.fifo[1] >> 4;
  state.timer1 = state.fifo[2] >> 1;
  if (dma != nullptr && (state.fifo[2] & 1) == 0)  // ND
    state.dor |= kDorDma;
  else
    state.dor &= static_cast<uint8_t>(~kDorDma);
  begin_command_phase();
}

void Fdc::configure() {
  state.config = state.fifo[2];
  state.precomp = state.fifo[3];
  begin_command_phase();
}

void Fdc::lock() {
  state.lock = (state.fifo[0] & 0x80) != 0 ? 1 : 0;
  state.fifo[0] = static_cast<uint8_t>(state.lock << 4);
  begin_result(1);
}

void Fdc::perpendicular() {
  if ((state.fifo[1] & 0x80) != 0) unit().perpendicular = state.fifo[1] & 0x07;
  begin_command_phase();
}

void Fdc::powerdown_mode() {
  state.pwrd = state.fifo[1];
  state.fifo[0] = state.fifo[1];
  begin_result(1);
}

void Fdc::option() {
  begin_command_phase();
}

void Fdc::drive_specification() {
  const uint8_t last = state.fifo[std::min<uint32_t>(state.data_pos, kSpecificationMost) - 1];
  if ((last & kSpecificationDone) == 0) return invalid();  // a list without end
  if ((last & kSpecificationQuiet) != 0) return begin_command_phase();
  std::array<uint8_t, 4> drives{};
  for (uint32_t i = 1; i + 1 < state.data_pos; ++i) drives[state.fifo[i] >> 5 & 3] = state.fifo[i] & 0x1f;
  std::ranges::copy(drives, state.fifo.begin());
  begin_result(drives.size());
}

void Fdc::save() {
  const FloppyFormat* f = disk();
  std::ranges::fill_n(state.fifo.begin(), 15, 0);
  state.fifo[2] = state.units[0].track;
  state.fifo[3] = state.units[1].track;
  state.fifo[6] = state.timer0;
  state.fifo[7] = static_cast<uint8_t>(state.timer1 << 1 | ((state.dor & kDorDma) != 0 ? 1 : 0));
  state.fifo[8] = f != nullptr ? f->sectors : 0;
  state.fifo[9] = static_cast<uint8_t>(state.lock << 7 | unit().perpendicular << 2);
  state.fifo[10] = state.config;
  state.fifo[11] = state.precomp;
  state.fifo[12] = state.pwrd;
  begin_result(15);
}

void Fdc::restore() {
  state.units[0].track = state.fifo[3];
  state.units[1].track = state.fifo[4];
  state.timer0 = state.fifo[7] & 0x0f;
  state.timer1 = state.fifo[8] >> 1;
  state.lock = state.fifo[10] >> 7;
  unit().perpendicular = state.fifo[10] >> 2 & 0x07;
  state.config = state.fifo[11];
  state.precomp = state.fifo[12];
  state.pwrd = state.fifo[13];
  begin_command_phase();
}

// --- the head

/// Steps to `track`, or as far as the drive goes. A step with a disk in takes DSKCHG back.
void Fdc::move_head_to(uint8_t track) {
  FdcUnit& u = unit();
  if (drive() == nullptr || track == u.track) return;
  u.track = track;
  if (disk() != nullptr) u.media_changed = 0;
}

void Fdc::seek_ended() {
  begin_command_phase();
  raise_irq();
  state.status0 = kSt0SeekEnd;
}

void Fdc::recalibrate() {
  select_drive();
  unit().head = 0;
  move_head_to(0);
  unit().sector = 1;
  seek_ended();
}

void Fdc::seek() {
  select_drive();
  // A track the disk does not have is not reached; without a disk the head goes anywhere.
  const FloppyFormat* f = disk();
  const uint8_t head = state.fifo[1] >> 2 & 1;
  if (f == nullptr || (state.fifo[2] < f->tracks && head < f->heads)) {
    if (drive() != nullptr) unit().head = head;
    move_head_to(state.fifo[2]);
  }
  seek_ended();
}

void Fdc::relative_seek() {
  select_drive();
  const bool inwards = (state.command & 0x40) != 0;
  const int last = disk() != nullptr ? disk()->tracks - 1 : kTrackAnyDisk;
  const int target = unit().track + (inwards ? state.fifo[2] : -state.fifo[2]);
  move_head_to(static_cast<uint8_t>(std::clamp(target, 0, last)));
  seek_ended();
}

void Fdc::read_id() {
  select_drive();
  if (drive() != nullptr) unit().head = state.fifo[1] >> 2 & 1;
  state.data_len = 0;
  read_id_timer_->arm_in(kReadIdNs);
}

void Fdc::read_id_done() {
  FdcUnit& u = unit();
  const FloppyFormat* f = disk();
  // The disk turns: another sector comes by each time.
  if (f != nullptr) u.sector = static_cast<uint8_t>(u.sector % f->sectors + 1);
  const bool right_rate = f == nullptr || static_cast<uint8_t>(f->rate) == (state.dsr & kDsrRate);
  end_transfer(right_rate ? 0 : kSt0Abnormal, right_rate ? 0 : kSt1MissingMark, 0);
}

}  // namespace rhea
