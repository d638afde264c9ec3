// Registers, reset, and the phases of a command. Data sheet chapters 2, 4 and 5.
#include "hw/floppy/fdc.h"

#include "hw/floppy/fdc_bits.h"
#include "util/log.h"

namespace rhea {

using namespace fdc;

namespace {
constexpr int kResetAnswers = 4;  // one SENSE INTERRUPT STATUS for each drive there may be
}

void Fdc::start(AioContext& loop, Clock& clock, FloppyBus& bus) {
  bus_ = &bus;
  loop_ = &loop;
  read_id_timer_ = std::make_unique<Timer>(loop, clock, [this] { read_id_done(); });
  bus_->on_disk_changed = [this](unsigned unit) {
    state.units[unit].media_changed = 1;
    read_ahead_.clear();
  };
  if (dma != nullptr) dma->set_on_ready(dma_channel, [this] { run(); });
  hard_reset();
}

void Fdc::stop() {
  cancel();
  if (dma != nullptr) dma->set_on_ready(dma_channel, {});
  bus_->on_disk_changed = nullptr;
  read_id_timer_.reset();
}

void Fdc::hard_reset() {
  const auto units = state.units;
  cancel();
  irq.set(0);
  state = {};
  for (size_t i = 0; i < units.size(); ++i) state.units[i].media_changed = units[i].media_changed;
  if (dma == nullptr) state.dor &= static_cast<uint8_t>(~kDorDma);
}

/// By DOR or DSR: what LOCK protects stays.
void Fdc::reset(bool interrupt) {
  cancel();
  lower_irq();
  state.sra = 0;
  state.srb = kSrbOnes;
  state.dor = static_cast<uint8_t>(kDorReset | (dma != nullptr ? kDorDma : 0));
  for (FdcUnit& u : state.units) u.track = u.head = 0, u.sector = 1;
  if (state.lock == 0) {
    state.config = FdcState().config;
    state.precomp = 0;
  }
  begin_command_phase();
  if (!interrupt) return;
  raise_irq();
  state.reset_sensei = kResetAnswers;
}

void Fdc::raise_irq() {
  state.reset_sensei = 0;
  state.sra |= kSraInt;
  update_irq();
}

void Fdc::lower_irq() {
  state.status0 = 0;
  state.sra &= static_cast<uint8_t>(~kSraInt);
  update_irq();
}

// --- registers

uint8_t Fdc::read(unsigned offset) {
  switch (offset) {
    case kSra:
      return state.sra;
    case kSrb:
      return state.srb;
    case kDor:
      return state.dor;
    case kTdr:
      return state.tdr;
    case kMsrDsr:
      // Looking at it wakes the controller (6.4); one held in reset shows nothing.
      state.dsr &= static_cast<uint8_t>(~kDsrPowerDown);
      return (state.dor & kDorReset) != 0 ? state.msr : 0;
    case kFifo:
      return read_fifo();
    case kDirCcr:
      return read_dir();
    default:
      return 0xff;
  }
}

void Fdc::write(unsigned offset, uint8_t value) {
  switch (offset) {
    case kDor:
      return write_dor(value);
    case kTdr:
      if ((state.dor & kDorReset) != 0) state.tdr = value & kTdrBootSel;
      return;
    case kMsrDsr:
      return write_dsr(value);
    case kFifo:
      return write_fifo(value);
    case kDirCcr:
      if ((state.dor & kDorReset) != 0)
        state.dsr = static_cast<uint8_t>((state.dsr & ~kDsrRate) | (value & kDsrRate));
      return;
    default:
      return;  // the status registers
  }
}

void Fdc::write_dor(uint8_t value) {
  const bool was_running = (state.dor & kDorReset) != 0, runs = (value & kDorReset) != 0;
  if (was_running != runs) reset(runs);
  if (runs) state.dsr &= static_cast<uint8_t>(~kDsrReset);
  state.srb = kSrbOnes;
  for (unsigned n = 0; n < FloppyBus::kDrives; ++n)
    if ((value & kDorMotor0 << n) != 0) state.srb |= static_cast<uint8_t>(1u << n);
  if ((value & 1) != 0) state.srb |= kSrbDrive0;
  state.dor = value;
}

void Fdc::write_dsr(uint8_t value) {
  if ((state.dor & kDorReset) == 0) return;
  if ((value & (kDsrReset | kDsrPowerDown)) != 0) {
    const uint8_t dor = state.dor;
    reset(true);
    state.dor = dor;
  }
  state.dsr = value & static_cast<uint8_t>(~kDsrReset);
}

uint8_t Fdc::read_dir() const {
  const bool changed = drive() == nullptr || state.units[current()].media_changed != 0;
  return changed ? kDirDiskChange : 0;
}

// --- phases

FdcPhase Fdc::phase() const {
  if ((state.msr & kMsrBusy) == 0) return FdcPhase::kCommand;
  if ((state.msr & kMsrNonDma) != 0 || (state.msr & kMsrRqm) == 0) return FdcPhase::kExecution;
  return (state.msr & kMsrDio) != 0 ? FdcPhase::kResult : FdcPhase::kCommand;
}

void Fdc::begin_command_phase() {
  state.data_dir = static_cast<uint8_t>(FdcTransfer::kWrite);
  state.data_pos = state.data_len = 0;
  state.data_state = 0;
  state.msr = kMsrRqm;
}

/// Offers the first `bytes` bytes of the FIFO.
void Fdc::begin_result(size_t bytes) {
  state.data_dir = static_cast<uint8_t>(FdcTransfer::kRead);
  state.data_pos = 0;
  state.data_len = static_cast<uint32_t>(bytes);
  state.msr = kMsrBusy | kMsrRqm | kMsrDio;
}

/// The result of READ, WRITE and their like: status and where the head is.
void Fdc::end_transfer(uint8_t st0, uint8_t st1, uint8_t st2) {
  cancel();
  const FdcUnit& u = unit();
  state.status0 = static_cast<uint8_t>(st0 | u.head << 2 | current());
  state.status1 = st1;
  state.status2 = st2;
  state.fifo[0] = state.status0;
  state.fifo[1] = st1;
  state.fifo[2] = st2;
  state.fifo[3] = u.track;
  state.fifo[4] = u.head;
  state.fifo[5] = u.sector;
  state.fifo[6] = kSectorSizeCode;
  begin_result(7);
  raise_irq();
}

uint8_t Fdc::read_fifo() {
  if ((state.msr & (kMsrRqm | kMsrDio)) != (kMsrRqm | kMsrDio)) {
    log_guest_error("fdc: the guest reads the FIFO while there is nothing in it");
    return 0;
  }
  const bool executes = phase() == FdcPhase::kExecution;
  const size_t at = state.data_pos % FdcState::kFifoBytes;
  const uint8_t value = state.fifo[at];
  ++state.data_pos;
  if (executes) {
    if (at + 1 == FdcState::kFifoBytes || state.data_pos == state.data_len) {
      state.msr &= static_cast<uint8_t>(~kMsrRqm);
      if (disk() == nullptr)
        fail_transfer();
      else if (next_after(at + 1 == FdcState::kFifoBytes, false))
        run();
    }
  } else if (state.data_pos >= state.data_len) {
    begin_command_phase();
    lower_irq();
  }
  return value;
}

void Fdc::write_fifo(uint8_t value) {
  if ((state.dor & kDorReset) == 0) return;
  if ((state.msr & kMsrRqm) == 0 || (state.msr & kMsrDio) != 0) {
    log_guest_error("fdc: the guest writes the FIFO while it takes nothing");
    return;
  }
  if (phase() == FdcPhase::kCommand) return command_byte(value);
  state.fifo[state.data_pos % FdcState::kFifoBytes] = value;
  ++state.data_pos;
  if (host_bytes_complete()) {
    state.full = 1;
    state.msr &= static_cast<uint8_t>(~kMsrRqm);
    run();
  }
}

void Fdc::command_byte(uint8_t value) {
  if (state.data_pos == 0) {
    state.command = value;
    state.data_len = 1u + find_command(value).parameters;
  }
  if (state.data_pos < state.fifo.size()) state.fifo[state.data_pos] = value;
  ++state.data_pos;
  if (!wants_more_parameters()) {
    state.msr = kMsrBusy;
    const Handler handler = find_command(state.command).run;
    return (this->*handler)();
  }
  state.msr = kMsrRqm | kMsrBusy;
}

void Fdc::select_drive() {
  state.dor = static_cast<uint8_t>((state.dor & ~1u) | (state.fifo[1] & 1u));
}

}  // namespace rhea
