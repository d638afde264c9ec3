#include "hw/char/uart16550.h"

namespace rhea {

namespace {

constexpr uint8_t kIerReceive = 0x01, kIerTransmit = 0x02, kIerLine = 0x04, kIerModem = 0x08;
constexpr uint8_t kIdModem = 0x00, kIdNone = 0x01, kIdTransmit = 0x02, kIdReceive = 0x04, kIdLine = 0x06,
                  kIdTimeout = 0x0c, kIdMask = 0x0f, kIirFifo = 0xc0;
constexpr uint8_t kFcrEnable = 0x01, kFcrClearRx = 0x02, kFcrClearTx = 0x04, kFcrKept = 0xc9;
constexpr uint8_t kLcrBreak = 0x40, kLcrDlab = 0x80;
constexpr uint8_t kMcrDefined = 0x1f;
constexpr uint8_t kLsrData = 0x01, kLsrOverrun = 0x02, kLsrBreak = 0x10, kLsrThrEmpty = 0x20, kLsrIdle = 0x40,
                  kLsrErrors = 0x1e;
constexpr uint8_t kMsrLines = 0xf0, kMsrDeltas = 0x0f, kMsrRing = 0x40;
constexpr uint8_t kMsrAttached = 0xb0;  // DCD, DSR, CTS: somebody is at the other side

}  // namespace

// --- life cycle

void Uart16550::start(IrqLine& irq, AioContext& loop, Clock& clock) {
  irq_ = &irq;
  timeout_ = std::make_unique<Timer>(loop, clock, [this] { timed_out(); });
  chardev.set_handlers({.can_read = [this] { return input_room(); },
                        .read = [this](std::span<const uint8_t> bytes) { input(bytes); },
                        .event =
                            [this](CharEvent event) {
                              if (event == CharEvent::kBreak) receive_break();
                            },
                        .writable = [this] { transmit(), update_irq(); },
                        .may_change_backend = true});
}

void Uart16550::stop() {
  chardev.detach();
  timeout_.reset();
  irq_ = nullptr;
}

void Uart16550::reset() {
  state = {};
  if (timeout_) timeout_->cancel();
  irq_high_ = true;  // whatever was signalled before: drive the line low
  update_irq();
}

// --- interrupts, 8.6: one at a time, by priority

unsigned Uart16550::trigger_level() const {
  constexpr uint8_t kLevels[] = {1, 4, 8, 14};
  return kLevels[state.fcr >> 6];
}

uint8_t Uart16550::pending_id() const {
  const UartState& s = state;
  if ((s.ier & kIerLine) != 0 && (s.lsr & kLsrErrors) != 0) return kIdLine;
  if ((s.ier & kIerReceive) != 0) {
    if (s.timeout_ipending != 0) return kIdTimeout;
    if ((s.lsr & kLsrData) != 0 && (!fifo_on() || s.recv_fifo.num >= trigger_level())) return kIdReceive;
  }
  if ((s.ier & kIerTransmit) != 0 && s.thr_ipending != 0) return kIdTransmit;
  if ((s.ier & kIerModem) != 0 && (s.msr & kMsrDeltas) != 0) return kIdModem;
  return kIdNone;
}

void Uart16550::update_irq() {
  const uint8_t id = pending_id();
  state.iir = static_cast<uint8_t>(id | (fifo_on() ? kIirFifo : 0));
  const bool high = id != kIdNone;
  if (high == irq_high_) return;
  irq_high_ = high;
  if (irq_ != nullptr) irq_->set(high);
}

// --- registers

uint8_t Uart16550::read(unsigned reg) {
  const bool dlab = (state.lcr & kLcrDlab) != 0;
  switch (reg & 7) {
    case 0:
      return dlab ? static_cast<uint8_t>(state.divider) : read_rbr();
    case 1:
      return dlab ? static_cast<uint8_t>(state.divider >> 8) : state.ier;
    case 2:
      return read_iir();
    case 3:
      return state.lcr;
    case 4:
      return state.mcr;
    case 5:
      return read_lsr();
    case 6:
      return read_msr();
    default:
      return state.scr;
  }
}

void Uart16550::write(unsigned reg, uint8_t value) {
  const bool dlab = (state.lcr & kLcrDlab) != 0;
  switch (reg & 7) {
    case 0:
      if (dlab)
        state.divider = static_cast<uint16_t>((state.divider & 0xff00) | value);
      else
        write_thr(value);
      break;
    case 1:
      if (dlab)
        state.divider = static_cast<uint16_t>((state.divider & 0x00ff) | value << 8);
      else
        write_ier(value);
      break;
    case 2:
      write_fcr(value);
      break;
    case 3:
      write_lcr(value);
      break;
    case 4:
      write_mcr(value);
      break;
    case 7:
      state.scr = value;
      break;
    default:
      break;  // LSR and MSR are for factory tests
  }
}

uint8_t Uart16550::read_rbr() {
  UartState& s = state;
  const bool had_data = (s.lsr & kLsrData) != 0;
  if (fifo_on()) {
    if (s.recv_fifo.num != 0) s.rbr = s.recv_fifo.pop();
    s.timeout_ipending = 0;
    if (s.recv_fifo.num != 0)
      arm_timeout();
    else
      s.lsr &= static_cast<uint8_t>(~kLsrData);
  } else {
    s.lsr &= static_cast<uint8_t>(~kLsrData);
  }
  const uint8_t byte = s.rbr;
  update_irq();
  if (had_data && !loopback()) chardev.accept_input();
  return byte;
}

uint8_t Uart16550::read_iir() {
  const uint8_t iir = state.iir;
  if ((iir & kIdMask) == kIdTransmit) {
    state.thr_ipending = 0;
    update_irq();
  }
  return iir;
}

uint8_t Uart16550::read_lsr() {
  const uint8_t lsr = state.lsr;
  if ((lsr & kLsrErrors) != 0) {
    state.lsr &= static_cast<uint8_t>(~kLsrErrors);
    update_irq();
  }
  return lsr;
}

uint8_t Uart16550::read_msr() {
  const uint8_t msr = state.msr;
  if ((msr & kMsrDeltas) != 0) {
    state.msr &= static_cast<uint8_t>(~kMsrDeltas);
    update_irq();
  }
  return msr;
}

void Uart16550::write_ier(uint8_t value) {
  const uint8_t enabled = static_cast<uint8_t>(value & ~state.ier);
  state.ier = value & 0x0f;
  // An empty transmitter interrupts when that is enabled, not only when it becomes empty.
  if ((enabled & kIerTransmit) != 0 && (state.lsr & kLsrThrEmpty) != 0) state.thr_ipending = 1;
  update_irq();
}

void Uart16550::write_fcr(uint8_t value) {
  UartState& s = state;
  if (((value ^ s.fcr) & kFcrEnable) != 0) value |= kFcrClearRx | kFcrClearTx;  // 8.4: a change clears both
  if ((value & kFcrClearRx) != 0) {
    s.recv_fifo.clear();
    s.lsr &= static_cast<uint8_t>(~kLsrData);
    s.timeout_ipending = 0;
    if (timeout_) timeout_->cancel();
  }
  if ((value & kFcrClearTx) != 0) {
    s.xmit_fifo.clear();
    s.lsr |= kLsrThrEmpty;
  }
  s.fcr = (value & kFcrEnable) != 0 ? value & kFcrKept : 0;
  update_irq();
  if ((value & kFcrClearRx) != 0) chardev.accept_input();
}

void Uart16550::write_lcr(uint8_t value) {
  const uint8_t risen = static_cast<uint8_t>(value & ~state.lcr);
  state.lcr = value;
  if ((value & kLcrDlab) == 0) set_line();
  if ((risen & kLcrBreak) == 0) return;
  if (loopback())
    receive_break();
  else
    chardev.send_break();
}

/// LCR (8.1) and the divider (8.3) as a line of the host has them.
void Uart16550::set_line() {
  const bool parity = (state.lcr & 0x08) != 0, even = (state.lcr & 0x10) != 0;
  chardev.set_line({.speed = baudbase / (state.divider == 0 ? 1u : state.divider),
                    .parity = !parity ? 'N'
                              : even  ? 'E'
                                      : 'O',
                    .data_bits = static_cast<uint8_t>(5 + (state.lcr & 3)),
                    .stop_bits = static_cast<uint8_t>(1 + (state.lcr >> 2 & 1))});
}

void Uart16550::write_mcr(uint8_t value) {
  const bool was_looped = loopback();
  state.mcr = value & kMcrDefined;
  if (loopback()) {
    // 8.7: DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
    set_modem_lines(static_cast<uint8_t>((value & 0x0c) << 4 | (value & 0x02) << 3 | (value & 0x01) << 5));
  } else if (was_looped) {
    set_modem_lines(kMsrAttached);
    chardev.accept_input();
  }
  update_irq();
}

void Uart16550::set_modem_lines(uint8_t lines) {
  uint8_t changed = static_cast<uint8_t>((state.msr ^ lines) & kMsrLines);
  if ((lines & kMsrRing) != 0) changed &= static_cast<uint8_t>(~kMsrRing);  // TERI: the trailing edge only
  state.msr = static_cast<uint8_t>(lines | (state.msr & kMsrDeltas) | changed >> 4);
}

// --- transmitter

void Uart16550::write_thr(uint8_t value) {
  UartState& s = state;
  s.thr = value;
  s.thr_ipending = 0;
  if (fifo_on()) {
    if (s.xmit_fifo.full()) return;  // 8.4: the character is lost
    s.xmit_fifo.push(value);
  }
  s.lsr &= static_cast<uint8_t>(~(kLsrThrEmpty | kLsrIdle));
  transmit();
  update_irq();
}

bool Uart16550::next_to_send() {
  UartState& s = state;
  if (fifo_on()) {
    if (s.xmit_fifo.num == 0) return false;
    s.tsr = s.xmit_fifo.pop();
    if (s.xmit_fifo.num != 0) return true;
  } else {
    if ((s.lsr & kLsrThrEmpty) != 0) return false;
    s.tsr = s.thr;
  }
  s.lsr |= kLsrThrEmpty;
  s.thr_ipending = 1;
  return true;
}

void Uart16550::transmit() {
  UartState& s = state;
  while (s.tsr_retry != 0 || next_to_send()) {
    s.tsr_retry = 0;
    if (loopback()) {
      receive(s.tsr);
    } else if (chardev.write({&s.tsr, 1}) != 1) {
      s.tsr_retry = 1;  // goes on when the backend can take more
      return;
    }
  }
  s.lsr |= kLsrIdle | kLsrThrEmpty;
}

// --- receiver

int64_t Uart16550::char_time_ns() const {
  const int64_t divider = state.divider == 0 ? 1 : state.divider;
  const int bits = 1 + 5 + (state.lcr & 3) + (state.lcr >> 3 & 1) + 1 + (state.lcr >> 2 & 1);
  return 1'000'000'000LL * bits * divider / (baudbase == 0 ? 1 : baudbase);
}

size_t Uart16550::input_room() const {
  const UartState& s = state;
  if (loopback()) return 0;
  if (!fifo_on()) return (s.lsr & kLsrData) != 0 ? 0 : 1;
  if (s.recv_fifo.full()) return 0;
  // Up to the trigger at once, then slowly: a guest that is late loses nothing.
  const unsigned trigger = trigger_level();
  return s.recv_fifo.num < trigger ? trigger - s.recv_fifo.num : 1;
}

void Uart16550::input(std::span<const uint8_t> bytes) {
  for (uint8_t byte : bytes) receive(byte);
  update_irq();
}

void Uart16550::receive(uint8_t byte) {
  UartState& s = state;
  if (!fifo_on()) {
    if ((s.lsr & kLsrData) != 0) s.lsr |= kLsrOverrun;
    s.rbr = byte;
  } else if (s.recv_fifo.full()) {
    s.lsr |= kLsrOverrun;
  } else {
    s.recv_fifo.push(byte);
    arm_timeout();
  }
  s.lsr |= kLsrData;
}

void Uart16550::receive_break() {
  receive(0);
  state.lsr |= kLsrBreak;
  update_irq();
}

void Uart16550::arm_timeout() {
  // 8.4.1: no character in or out for four character times.
  if (timeout_) timeout_->arm_in(4 * char_time_ns());
}

void Uart16550::timed_out() {
  if (state.recv_fifo.num == 0) return;
  state.timeout_ipending = 1;
  update_irq();
}

// --- saved state

void Uart16550::before_save() {
  state.timeout_deadline_ns = timeout_ ? timeout_->deadline_ns() : -1;
}

Result<> Uart16550::after_load(int version) {
  UartState& s = state;
  if (version < 3) s.fcr = 0;
  s.tsr_retry = s.tsr_retry != 0;
  s.poll_msl = -1;
  if ((s.lsr & kLsrThrEmpty) == 0 && s.tsr_retry == 0 && (!fifo_on() || s.xmit_fifo.num == 0))
    return fail(EINVAL, "transmitter is busy without a character");
  if (timeout_) {
    timeout_->cancel();
    if (s.timeout_deadline_ns >= 0) timeout_->arm(s.timeout_deadline_ns);
  }
  irq_high_ = pending_id() == kIdNone;  // drive the line in any case
  update_irq();
  if (s.tsr_retry != 0) transmit();
  return {};
}

}  // namespace rhea
