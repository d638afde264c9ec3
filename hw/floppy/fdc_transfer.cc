// Commands that move data: how they start, go on by DMA or byte by byte, and end. Data sheet 5.1 and 5.3.
#include <algorithm>

#include "hw/floppy/fdc.h"
#include "hw/floppy/fdc_bits.h"

namespace rhea {

using namespace fdc;

// --- start

Fdc::SeekResult Fdc::seek_to(uint8_t head, uint8_t track, uint8_t sector) {
  const FloppyFormat* f = disk();
  if (f == nullptr) return SeekResult::kNoDisk;
  if (track >= f->tracks || head >= f->heads) return SeekResult::kNoTrack;
  if (sector == 0 || sector > f->sectors) return SeekResult::kNoSector;
  FdcUnit& u = unit();
  const bool moves = track != u.track;
  if (moves && (state.config & kImpliedSeek) == 0) return SeekResult::kNoImpliedSeek;
  move_head_to(track);
  u.head = head;
  u.sector = sector;
  return moves ? SeekResult::kMoved : SeekResult::kThere;
}

/// False if that ended the command.
bool Fdc::reach_first_sector(uint8_t head, uint8_t track, uint8_t sector) {
  uint8_t st1 = 0;
  switch (seek_to(head, track, sector)) {
    case SeekResult::kThere:
      return true;
    case SeekResult::kMoved:
      state.status0 |= kSt0SeekEnd;
      return true;
    case SeekResult::kNoSector:
      st1 = kSt1EndOfCylinder;
      break;
    case SeekResult::kNoDisk:
      if (drive() == nullptr) st1 = kSt1EndOfCylinder;
      break;
    case SeekResult::kNoTrack:
    case SeekResult::kNoImpliedSeek:
      break;
  }
  end_transfer(kSt0Abnormal, st1, 0);
  state.fifo[3] = track;
  state.fifo[4] = head;
  state.fifo[5] = sector;
  return false;
}

/// False if that ended the command.
bool Fdc::disk_accepts(bool writing) {
  const FloppyFormat* f = disk();
  if (f == nullptr || static_cast<uint8_t>(f->rate) != (state.dsr & kDsrRate)) {
    end_transfer(kSt0Abnormal, kSt1MissingMark, 0);
    return false;
  }
  if (!writing || !drive()->read_only()) return true;
  end_transfer(kSt0Abnormal | kSt0SeekEnd, kSt1NotWritable, 0);
  return false;
}

/// From sector `first` to EOT, on both sides with MT; 0 if that is nothing.
uint32_t Fdc::transfer_bytes(uint8_t first) const {
  const uint8_t n = state.fifo[5], eot = state.fifo[6];
  if (n == 0) return state.fifo[8] != 0 ? state.fifo[8] : 128;  // DTL
  int sectors = eot - first + 1;
  if ((state.command & kMultiTrack) != 0) sectors += eot;
  if (sectors <= 0) return 0;
  return static_cast<uint32_t>(sectors) * (128u << std::min<unsigned>(n, 7));
}

void Fdc::start_transfer(FdcTransfer direction, uint8_t first_sector) {
  select_drive();
  state.status0 = state.status1 = state.status2 = 0;
  const uint8_t track = state.fifo[2], head = state.fifo[3];
  if (!reach_first_sector(head, track, first_sector)) return;
  if (!disk_accepts(direction == FdcTransfer::kWrite)) return;
  const uint32_t bytes = transfer_bytes(first_sector);
  if (bytes == 0) return end_transfer(kSt0Abnormal | kSt0SeekEnd, kSt1MissingMark, 0);
  state.data_state = (state.command & kMultiTrack) != 0 ? kMultiTracks : 0;
  state.eot = state.fifo[6];
  state.fill = state.fifo[8];
  begin_execution(direction, bytes);
}

void Fdc::read_data() {
  start_transfer(FdcTransfer::kRead, state.fifo[4]);
}
void Fdc::write_data() {
  start_transfer(FdcTransfer::kWrite, state.fifo[4]);
}
/// From the index hole on.
void Fdc::read_track() {
  start_transfer(FdcTransfer::kRead, 1);
}

void Fdc::verify() {
  if ((state.fifo[1] & 0x80) != 0) {  // EC: not up to EOT but SC sectors
    state.fifo[5] = kSectorSizeCode;
    const int last = state.fifo[4] + state.fifo[8] - 1;
    state.command &= static_cast<uint8_t>(~kMultiTrack);
    state.fifo[6] = static_cast<uint8_t>(std::min(last, 255));
  }
  start_transfer(FdcTransfer::kVerify, state.fifo[4]);
}

void Fdc::scan() {
  const uint8_t kind = state.command & 0x1f;
  start_transfer(kind == 0x11   ? FdcTransfer::kScanEqual
                 : kind == 0x19 ? FdcTransfer::kScanLow
                                : FdcTransfer::kScanHigh,
                 state.fifo[4]);
}

/// No sector is marked deleted, and none can be.
void Fdc::deleted_data() {
  select_drive();
  end_transfer(kSt0Abnormal | kSt0SeekEnd, 0, 0);
}

void Fdc::format_track() {
  select_drive();
  state.status0 = state.status1 = state.status2 = 0;
  if (drive() != nullptr) unit().head = state.fifo[1] >> 2 & 1;
  if (!disk_accepts(true)) return;
  const uint8_t sectors = state.fifo[3];
  if (state.fifo[2] != kSectorSizeCode || sectors == 0 || sectors > disk()->sectors)
    return end_transfer(kSt0Abnormal, kSt1NoData, 0);
  state.data_state = kFormats;
  state.fill = state.fifo[5];
  begin_execution(FdcTransfer::kWrite, 4u * sectors);
}

// --- the execution phase

bool Fdc::scans() const {
  return direction() == FdcTransfer::kScanEqual || direction() == FdcTransfer::kScanLow ||
         direction() == FdcTransfer::kScanHigh;
}
bool Fdc::host_sends() const {
  return direction() == FdcTransfer::kWrite || scans();
}
bool Fdc::uses_dma() const {
  return (state.msr & kMsrNonDma) == 0 && dma != nullptr;
}
bool Fdc::transferring() const {
  return phase() == FdcPhase::kExecution && state.data_len != 0 &&
         (read_id_timer_ == nullptr || !read_id_timer_->pending());
}

void Fdc::begin_execution(FdcTransfer direction, uint32_t bytes) {
  state.data_dir = static_cast<uint8_t>(direction);
  state.data_pos = 0;
  state.data_len = bytes;
  state.full = state.last = 0;
  state.msr = kMsrBusy;
  if (direction == FdcTransfer::kVerify) return run();
  if ((state.dor & kDorDma) != 0 && dma != nullptr) {
    dma->set_request(dma_channel, true);
  } else {
    state.msr |= kMsrNonDma;
    raise_irq();
  }
  run();
}

/// Gives up what is under way. What is at the disk ends by itself, and later transfers wait for it.
void Fdc::cancel() {
  ++generation_;
  read_ahead_.clear();
  sector_there_ = false;
  state.full = state.last = 0;
  if (read_id_timer_ != nullptr) read_id_timer_->cancel();
  if (dma != nullptr) dma->set_request(dma_channel, false);
}

/// Goes on as far as it can: until the disk, the DMA controller or the host has to do something.
void Fdc::run() {
  if (running_) return;
  running_ = true;
  while (transferring() && in_flight_ == 0 && step()) {
  }
  running_ = false;
}

bool Fdc::step() {
  if (disk() == nullptr) {
    fail_transfer();
    return false;
  }
  if (direction() == FdcTransfer::kRead) return step_read();
  if (direction() == FdcTransfer::kVerify) return step_verify();
  return step_from_host();
}

bool Fdc::step_read() {
  if (!sector_there_) {
    if (!take_read_ahead()) {
      start_reading();
      return true;
    }
    sector_there_ = true;
  }
  if (!uses_dma()) {
    state.msr |= kMsrRqm | kMsrDio;
    return false;
  }
  const size_t at = state.data_pos % kFloppySectorBytes;
  const size_t most = std::min<size_t>(kFloppySectorBytes - at, state.data_len - state.data_pos);
  const uint32_t left = dma->bytes_left(dma_channel);
  const size_t moved = dma->write_memory(dma_channel, std::span(state.fifo).subspan(at, most));
  if (moved == 0) return false;  // on_ready calls again
  state.data_pos += static_cast<uint32_t>(moved);
  const bool whole = at + moved == kFloppySectorBytes, terminal_count = moved == left;
  if (whole || terminal_count || state.data_pos == state.data_len) return next_after(whole, terminal_count);
  return true;
}

bool Fdc::step_verify() {
  if (!take_read_ahead()) {
    start_reading();
    return true;
  }
  state.data_pos = std::min(state.data_pos + kFloppySectorBytes, state.data_len);
  return next_after(true, false);
}

/// What the host sends for one sector: its data, or for FORMAT TRACK its C, H, R and N.
bool Fdc::host_bytes_complete() {
  const uint32_t unit_bytes = formats() ? 4 : kFloppySectorBytes;
  return state.data_pos % unit_bytes == 0 || state.data_pos >= state.data_len;
}

bool Fdc::step_from_host() {
  if (state.full != 0) {
    if (formats()) return format_sector();
    if (scans()) return compare();
    // Data that ends within a sector leaves the rest of it zero.
    const uint32_t used = state.data_pos % kFloppySectorBytes;
    if (used != 0) std::fill(state.fifo.begin() + used, state.fifo.end(), uint8_t{0});
    start_writing(sector_number(unit()), state.fifo);
    return true;
  }
  if (!uses_dma()) {
    state.msr |= kMsrRqm;
    return false;
  }
  const uint32_t unit_bytes = formats() ? 4 : kFloppySectorBytes;
  const size_t most =
      std::min<size_t>(unit_bytes - state.data_pos % unit_bytes, state.data_len - state.data_pos);
  const uint32_t left = dma->bytes_left(dma_channel);
  const size_t moved =
      dma->read_memory(dma_channel, std::span(state.fifo).subspan(state.data_pos % kFloppySectorBytes, most));
  if (moved == 0) return false;
  state.data_pos += static_cast<uint32_t>(moved);
  state.last = moved == left;
  state.full = state.last != 0 || host_bytes_complete();
  return true;
}

/// The sector under the head has been dealt with, all of it or up to the end. False if the transfer is over.
bool Fdc::next_after(bool whole_sector, bool terminal_count) {
  const bool ended = terminal_count || state.data_pos >= state.data_len;
  bool more = true;
  // Byte by byte the head stays on the last sector; the DMA handshake finds it on the one behind.
  if (whole_sector && (!ended || uses_dma())) more = next_sector(unit(), state.status0);
  if (ended || !more) {
    transfer_done();
    return false;
  }
  sector_there_ = false;
  return true;
}

/// EOT, or the end of the track, leads to the other side with MT and from there to the next track; else out.
bool Fdc::next_sector(FdcUnit& u, uint8_t& st0) const {
  const FloppyFormat* f = disk();
  if (u.sector < f->sectors && u.sector != state.eot) {
    ++u.sector;
    return true;
  }
  u.sector = 1;
  const bool multi = (state.data_state & kMultiTracks) != 0;
  if (multi && u.head + 1 < f->heads) {
    ++u.head;
    return true;
  }
  u.head = multi ? 0 : u.head;
  st0 |= kSt0SeekEnd;
  if (u.track + 1 >= f->tracks) return false;
  ++u.track;
  return multi;
}

void Fdc::transfer_done() {
  end_transfer(state.status0, state.status1, state.status2);
}

/// SCAN: 8272A data sheet, "Scan commands". A host byte of 0xff fits any.
bool Fdc::compare() {
  if (!sector_there_) {
    if (!take_read_ahead()) {
      start_reading();
      return true;
    }
    sector_there_ = true;
  }
  const uint32_t used = state.data_pos % kFloppySectorBytes;
  const size_t bytes = used != 0 ? used : kFloppySectorBytes;
  bool equal = true, low = true, high = true;
  for (size_t i = 0; i < bytes; ++i) {
    const uint8_t disk_byte = scan_sector_[i], host = state.fifo[i];
    if (host == 0xff || disk_byte == host) continue;
    equal = false;
    (disk_byte < host ? high : low) = false;
  }
  state.full = 0;
  const bool hit = equal || (direction() == FdcTransfer::kScanLow && low) ||
                   (direction() == FdcTransfer::kScanHigh && high);
  state.status2 = hit ? (equal ? kSt2ScanEqual : 0) : kSt2ScanNot;
  if (hit) {
    transfer_done();
    return false;
  }
  constexpr uint8_t kEveryOther = 2;
  if (state.fill == kEveryOther && !next_sector(unit(), state.status0)) {
    transfer_done();
    return false;
  }
  return next_after(true, state.last != 0);
}

bool Fdc::format_sector() {
  const FloppyFormat* f = disk();
  FdcUnit& u = unit();
  if (state.data_pos % 4 != 0) {  // terminal count in the middle of an id
    transfer_done();
    return false;
  }
  const uint8_t* id = &state.fifo[(state.data_pos - 4) % FdcState::kFifoBytes];
  if (id[0] != u.track || id[1] >= f->heads || id[2] == 0 || id[2] > f->sectors || id[3] != kSectorSizeCode) {
    end_transfer(kSt0Abnormal, kSt1NoData, 0);
    return false;
  }
  u.head = id[1];
  u.sector = id[2];
  std::array<uint8_t, kFloppySectorBytes> sector;
  sector.fill(state.fill);
  start_writing(sector_number(u), sector);
  return true;
}

}  // namespace rhea
