// The 16550A UART: registers, FIFOs, interrupts.
// Spec: National Semiconductor PC16550D data sheet (June 1995), sections 8.0 to 8.9.
#pragma once

#include <array>
#include <memory>

#include "chardev/char_frontend.h"
#include "hw/core/irq.h"
#include "migration/vmstate/vmstate.h"
#include "util/aio_context.h"

namespace rhea {

/// A ring of sixteen bytes (8.4).
struct UartFifo {
  static constexpr uint32_t kBytes = 16;
  std::array<uint8_t, kBytes> data{};
  uint32_t head = 0;
  uint32_t num = 0;

  bool full() const { return num == kBytes; }
  void push(uint8_t byte) { data[(head + num++) % kBytes] = byte; }  ///< must not be full
  uint8_t pop() {                                                    ///< must not be empty
    const uint8_t byte = data[head];
    head = (head + 1) % kBytes;
    --num;
    return byte;
  }
  void clear() { head = num = 0; }
};

struct UartState {
  uint16_t divider = 12;  ///< DLM:DLL
  uint8_t rbr = 0;        ///< received character when the FIFOs are off
  uint8_t ier = 0;
  uint8_t iir = 0x01;
  uint8_t lcr = 0;
  uint8_t mcr = 0x08;
  uint8_t lsr = 0x60;
  uint8_t msr = 0xb0;
  uint8_t scr = 0;
  uint8_t fcr = 0;
  int32_t thr_ipending = 0;  ///< transmitter-empty interrupt waits to be taken
  uint32_t tsr_retry = 0;    ///< `tsr` holds a byte the backend has not taken yet
  uint8_t thr = 0;
  uint8_t tsr = 0;
  UartFifo recv_fifo;
  UartFifo xmit_fifo;
  int64_t timeout_deadline_ns = -1;  ///< on the wire only: when the character time-out strikes; -1: not armed
  int32_t timeout_ipending = 0;      ///< character time-out interrupt is pending
  int32_t poll_msl = -1;             ///< always -1: modem lines are not polled
  int64_t poll_deadline_ns = -1;
};
extern const VMState kUartStateVmState;  ///< of UartState: section "serial", version 3

/// The chip. Its owner maps eight byte-wide ports to read() and write(). Machine lock.
class Uart16550 {
 public:
  Uart16550() = default;
  Uart16550(const Uart16550&) = delete;

  /// Where characters go. Attached to a backend before start(), or left alone.
  CharFrontend chardev;
  /// Bits per second at divider 1.
  uint32_t baudbase = 115200;

  /// Begins to take input. `irq` stays the owner's, who may put a tap
  /// into it; `clock` is the guest's time.
  void start(IrqLine& irq, AioContext& loop, Clock& clock);
  void stop();
  void reset();

  uint8_t read(unsigned reg);
  void write(unsigned reg, uint8_t value);

  /// For the owner's VMState: fill in what only timers know; check and act on what was loaded.
  void before_save();
  Result<> after_load(int version);

  UartState state;

 private:
  bool fifo_on() const { return (state.fcr & 0x01) != 0; }
  bool loopback() const { return (state.mcr & 0x10) != 0; }
  unsigned trigger_level() const;
  int64_t char_time_ns() const;

  uint8_t read_rbr();
  uint8_t read_iir();
  uint8_t read_lsr();
  uint8_t read_msr();
  void write_thr(uint8_t value);
  void write_ier(uint8_t value);
  void write_fcr(uint8_t value);
  void write_lcr(uint8_t value);
  void write_mcr(uint8_t value);
  void set_line();

  void transmit();
  bool next_to_send();
  void set_modem_lines(uint8_t lines);
  size_t input_room() const;
  void input(std::span<const uint8_t> bytes);
  void receive(uint8_t byte);
  void receive_break();
  void arm_timeout();
  void timed_out();
  uint8_t pending_id() const;
  void update_irq();

  IrqLine* irq_ = nullptr;
  bool irq_high_ = false;
  std::unique_ptr<Timer> timeout_;
};

}  // namespace rhea
