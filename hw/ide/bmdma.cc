#include "hw/ide/bmdma.h"

#include <algorithm>

#include "hw/ide/ide_drive.h"
#include "util/byteorder.h"
#include "util/log.h"

namespace rhea {

namespace {
constexpr uint32_t kTableBytes = 65536;  // 1.2: a table stays inside 64 KiB
constexpr size_t kMaxPieces = 256;       // of memory in one request
}  // namespace

uint8_t BmdmaChannel::read(unsigned offset) const {
  switch (offset) {
    case 0:
      return state.command;
    case 2:
      return state.status;
    case 4:
    case 5:
    case 6:
    case 7:
      return static_cast<uint8_t>(state.prdt >> (8 * (offset - 4)));
    default:
      return 0xff;
  }
}

void BmdmaChannel::write(unsigned offset, uint8_t value) {
  switch (offset) {
    case 0:
      return write_command(value);
    case 2:
      state.status = static_cast<uint8_t>((state.status & kActive) | (value & kCapable) |
                                          (state.status & ~value & (kError | kInterrupt)));
      return;
    case 4:
    case 5:
    case 6:
    case 7: {
      const unsigned shift = 8 * (offset - 4);
      state.prdt = ((state.prdt & ~(0xffu << shift)) | uint32_t{value} << shift) & ~3u;
      return;
    }
    default:
      return;
  }
}

void BmdmaChannel::write_command(uint8_t value) {
  const bool was = (state.command & kStart) != 0, is = (value & kStart) != 0;
  state.command = value & (kStart | kToMemory);
  if (is && !was) {
    state.status |= kActive;
    if (running_) return;  // stopped a moment ago, and not at rest yet
    rewind();
    run();
  } else if (was && !is) {
    // 3.1: stopping gives up the transfer. Active stays up while data is still on its way to memory.
    if (running_ && drive_ != nullptr)
      drive_->dma_stop(*this);
    else
      state.status &= static_cast<uint8_t>(~kActive);  // a drive that waits goes on waiting
  }
}

void BmdmaChannel::rewind() {
  state.next_prd = state.prdt;
  state.prd_left = 0;
  state.prd_last = false;
}

void BmdmaChannel::restart(IdeDrive& drive) {
  rewind();
  request(drive);
}

void BmdmaChannel::run() {
  if (drive_ == nullptr || running_ || (state.command & kStart) == 0) return;
  running_ = true;
  drive_->dma_run(*this);
}

void BmdmaChannel::request(IdeDrive& drive) {
  drive_ = &drive;
  run();
}

void BmdmaChannel::withdraw(IdeDrive& drive) {
  if (drive_ != &drive) return;
  drive_ = nullptr;
  running_ = false;
}

bool BmdmaChannel::fetch_prd() {
  if (state.prd_last || state.next_prd - state.prdt >= kTableBytes) return false;
  uint8_t entry[8] = {};
  if (!reachable()) {
    // Reads as zeroes: 64 KiB at 0, and not the last.
  } else if (!dma_read || dma_read(state.next_prd, entry, sizeof entry) != MemResult::kOk) {
    log_guest_error("ide: no table at 0x", hex(state.next_prd));
    state.status |= kError;
    state.prd_last = true;
    return false;
  }
  state.next_prd += sizeof entry;
  const uint32_t control = load_le<uint32_t>(&entry[4]);
  state.prd_addr = load_le<uint32_t>(&entry[0]) & ~1u;
  state.prd_left = control & 0xfffe;
  if (state.prd_left == 0) state.prd_left = 0x10000;
  state.prd_last = (control & 0x8000'0000) != 0;
  return true;
}

uint64_t BmdmaChannel::collect(GuestScatter& out, uint64_t max, Direction direction) {
  uint64_t taken = 0;
  while (taken < max && out.piece_count() < kMaxPieces) {
    if (state.prd_left == 0 && !fetch_prd()) break;
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(max - taken, state.prd_left));
    if (!reachable())
      out.add_nowhere(n);
    else if (direction == Direction::kToMemory)
      out.add(state.prd_addr, n);
    else
      out.add_source(state.prd_addr, n);
    state.prd_addr += n;
    state.prd_left -= n;
    taken += n;
  }
  return taken;
}

void BmdmaChannel::finished() {
  drive_ = nullptr;
  running_ = false;
  // 2.2: Active goes down with the end of the table; a longer table leaves it up beside Interrupt.
  if (at_end()) state.status &= static_cast<uint8_t>(~kActive);
}

void BmdmaChannel::overrun() {
  running_ = false;
  drive_ = nullptr;
  state.status &= static_cast<uint8_t>(~kActive);
}

void BmdmaChannel::stopped() {
  running_ = false;
  drive_ = nullptr;
  if ((state.command & kStart) == 0) state.status &= static_cast<uint8_t>(~kActive);
}

void BmdmaChannel::set_irq(int, int level) {
  const bool up = level != 0;
  if (up && !std::exchange(intrq_, up)) state.status |= kInterrupt;
  intrq_ = up;
  irq.set(level);
}

void BmdmaChannel::reset() {
  state = {};
  drive_ = nullptr;
  running_ = false;
}

}  // namespace rhea
