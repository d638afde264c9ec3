// The PC's real-time clock and its battery-backed memory.
// Spec: Motorola MC146818 data sheet (1984); IBM PC AT Technical Reference, "Real-Time Clock/CMOS RAM".
#pragma once

#include <functional>

#include "hw/core/lost_tick_policy.h"
#include "hw/core/machine.h"
#include "hw/isa/isa_bus.h"
#include "hw/rtc/civil_time.h"
#include "util/aio_context.h"

namespace rhea {

struct RtcState {
  std::array<uint8_t, 128> cmos{};  ///< time bytes are current only while the clock is stopped
  uint8_t index = 0;                ///< byte shown at the data port
  int64_t periodic_deadline_ns = -1;
  int64_t next_periodic_ns = 0;
  uint32_t irq_coalesced = 0;  ///< lost ticks to make up for (slew)
  uint32_t period = 0;         ///< of the periodic interrupt, in 1/32768 s; 0: none
  uint64_t base_s = 0;         ///< the time shown at `last_update_ns`, less `offset_ns`: seconds since 1970
  uint64_t last_update_ns = 0;
  int64_t offset_ns = 0;
  int64_t update_deadline_ns = -1;
  uint64_t next_alarm_ns = UINT64_MAX;
  uint16_t reinjected = 0;
};

class Mc146818 final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "mc146818rtc"
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  /// What co_prepare() finds out.
  void connect(AioContext& loop, Clock& guest_clock) { loop_ = &loop, guest_clock_ = &guest_clock; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: where time comes from, and who is told that the guest has set it (seconds that
  /// it then differs from the base).
  RtcOptions options;
  std::function<void(int64_t offset_s)> on_change;
  /// An alarm has come that the guest wants to be interrupted for.
  std::function<void()> on_alarm;
  /// Replaces the ISA line (HPET legacy routing, or a kernel's pin). Unset: the bus's line `irq`.
  IrqLine irq_line;

  /// The configuration bytes the firmware reads; 14 and up are plain memory.
  void set_cmos(uint8_t index, uint8_t value);
  uint8_t cmos(uint8_t index) const { return state.cmos[index & 0x7f]; }
  /// The time the guest would read now.
  CivilTime guest_time() const;
  /// The same as QOM shows it: the fields of C's struct tm.
  Json guest_date() const;
  /// Forgets the periodic interrupts that are to be made up for.
  void forget_lost_ticks() { state.irq_coalesced = 0; }
  /// True while the guest masks NMI through bit 7 of port 0x70.
  bool nmi_masked() const { return nmi_masked_; }

  // Properties.
  int32_t base_year = 1980;
  uint16_t iobase = 0x70;
  uint8_t irq = 8;
  LostTickPolicy lost_tick_policy = LostTickPolicy::kDiscard;
  RtcState state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned size);
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  uint8_t read_register();
  uint8_t read_status_c();
  void write_register(uint8_t index, uint8_t value);
  void write_status_a(uint8_t value);
  void write_status_b(uint8_t value);

  // The clock proper (mc146818_time.cc).
  bool running() const;
  int64_t elapsed_ns() const;
  int64_t guest_seconds() const;
  int64_t subsecond_ns() const;
  void set_guest_time(int64_t unix_s, int64_t subsecond_ns);
  void load_time_bytes(int64_t unix_s);
  int64_t time_from_bytes() const;
  uint8_t encode(int value) const;
  int decode(uint8_t byte) const;
  uint8_t encode_hour(int hour) const;
  int decode_hour(uint8_t byte) const;
  void refresh_time_bytes();
  void time_written(int64_t phase_ns);
  bool update_in_progress() const;

  // Alarm, update and periodic flags.
  int64_t next_alarm_after(int64_t unix_s) const;
  void catch_up();
  void schedule_update();
  void updated();
  uint32_t period_ticks() const;
  void schedule_periodic();
  void ticked();
  void set_flags(uint8_t flags);

  static void before_save(void* object);
  static Result<> after_load(void* object, int version);
  static const VMState kVmState;

  AioContext* loop_ = nullptr;
  Clock* guest_clock_ = nullptr;
  Clock* clock_ = nullptr;
  std::unique_ptr<Timer> update_timer_;
  std::unique_ptr<Timer> periodic_timer_;
  int64_t base_difference_s_ = 0;  ///< what the time base says, less wall time
  int64_t shown_s_ = INT64_MIN;    ///< second that the time bytes hold; INT64_MIN: they are stale
  int64_t seen_s_ = 0;             ///< last second whose flags have been raised
  int64_t seen_period_ = 0;        ///< the same for periods of the periodic flag
  bool nmi_masked_ = false;
  MmioOf<Mc146818, &Mc146818::io_read, &Mc146818::io_write> io_{*this};
};

}  // namespace rhea
