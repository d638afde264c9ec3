// ACPI fixed hardware: PM1 event and control registers, the PM timer, one GPE block.
// Spec: ACPI 6.4, section 4.8.3.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "hw/core/irq.h"
#include "memory/memory.h"
#include "migration/vmstate/vmstate.h"
#include "qapi/vm_control.h"
#include "util/aio_context.h"
#include "util/byteorder.h"

namespace rhea {

struct Pm1State {
  uint16_t status = 0;         ///< PM1_STS
  uint16_t enable = 0;         ///< PM1_EN
  uint16_t control = 0;        ///< PM1_CNT
  int64_t overflow_ticks = 0;  ///< when bit 23 of the timer next changes, in its ticks since time 0
  std::array<uint8_t, 2> gpe_status{};
  std::array<uint8_t, 2> gpe_enable{};
};

/// The registers and what they raise. Machine lock; the timer's callback runs in `loop` under it.
class AcpiFixedHardware {
 public:
  static constexpr uint16_t kTimerStatus = 0x0001, kGlobalStatus = 0x0020, kPowerButton = 0x0100,
                            kRtcStatus = 0x0400, kWakeStatus = 0x8000;
  static constexpr uint16_t kSciEnable = 0x0001, kSleepEnable = 0x2000;
  static constexpr int64_t kTimerHz = 3'579'545;

  /// `enter_sleep(sleep_type)` is called when the guest enters a sleeping state (SLP_EN written; SLP_TYP
  /// 0..7).
  AcpiFixedHardware(AioContext& loop, Clock& clock, IrqLine sci,
                    std::function<void(unsigned sleep_type)> enter_sleep);

  /// Shows PM1_EVT at +0, PM1_CNT at +4, PM_TMR at +8 of `container`.
  void map_registers(MemoryRegion& container);
  /// Shows GPE0 status and enable, two bytes each, at `address` of `io`.
  void map_gpe(MemoryRegion& io, uint64_t address);

  void reset();
  void press_power_button();
  /// Raises GPE `n` (0..15).
  void raise_gpe(unsigned n);
  void set_sci_enabled(bool on);
  /// Shows what has woken the guest: after the reset that a wake-up is.
  void report_wakeup(WakeupReason reason);
  /// Called when the timer's bit 23 changes and the guest is to be told.
  std::function<void()> on_timer;
  /// Recomputes the SCI line and arms the timer: after a load.
  void update();

  Pm1State state;
  /// When the timer raises the SCI, in ns of the clock; -1 if it is not going to.
  int64_t overflow_deadline_ns() const;
  static const VMState kGpeVmState;

 private:
  uint64_t event_read(uint64_t offset, unsigned size);
  void event_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t control_read(uint64_t offset, unsigned size);
  void control_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t timer_read(uint64_t offset, unsigned size);
  void timer_write(uint64_t, uint64_t, unsigned) {}
  uint64_t gpe_read(uint64_t offset, unsigned size);
  void gpe_write(uint64_t offset, uint64_t value, unsigned size);
  void refresh_timer_status();
  void timer_overflowed();
  void schedule_overflow();

  Clock& clock_;
  IrqLine sci_;
  std::function<void(unsigned)> enter_sleep_;
  Timer overflow_timer_;
  MmioOf<AcpiFixedHardware, &AcpiFixedHardware::event_read, &AcpiFixedHardware::event_write> event_io_{*this};
  MmioOf<AcpiFixedHardware, &AcpiFixedHardware::control_read, &AcpiFixedHardware::control_write> control_io_{
      *this};
  MmioOf<AcpiFixedHardware, &AcpiFixedHardware::timer_read, &AcpiFixedHardware::timer_write> timer_io_{*this};
  MmioOf<AcpiFixedHardware, &AcpiFixedHardware::gpe_read, &AcpiFixedHardware::gpe_write> gpe_io_{*this};
  std::unique_ptr<MemoryRegion> event_region_, control_region_, timer_region_, gpe_region_;
};

}  // namespace rhea
