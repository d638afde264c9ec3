// High Precision Event Timers: a 100 MHz counter with comparators, three unless told otherwise.
// Spec: IA-PC HPET specification, revision 1.0a.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "accel/irqchip.h"
#include "hw/core/device.h"
#include "memory/memory.h"
#include "util/aio_context.h"

namespace rhea {

struct HpetTimerState {
  uint8_t number = 0;
  uint64_t config = 0;  ///< Tn_CONF, 2.3.8
  uint64_t comparator = UINT64_MAX;
  uint64_t fsb = 0;          ///< data 31:0, address 63:32
  uint64_t period = 0;       ///< ticks, of a periodic timer
  uint8_t wrap_flag = 0;     ///< goes off because the counter wraps, and then again at the comparator
  int64_t deadline_ns = -1;  ///< on the wire only
};
struct HpetState {
  static constexpr unsigned kMinTimers = 3, kMaxTimers = 32;
  uint64_t config = 0;      ///< GEN_CONF, 2.3.5
  uint64_t status = 0;      ///< GINTR_STA, 2.3.6
  uint64_t counter = 0;     ///< while it stands
  uint8_t timers_sent = 0;  ///< on the wire only
  std::array<HpetTimerState, kMaxTimers> timers;
  uint8_t rtc_level = 0;  ///< what the clock says while its line is not connected
  int64_t offset_ns = 0;  ///< while it counts: counter = (guest time + offset) / 10 ns
};

class Hpet final : public Device {
 public:
  static const TypeInfo kType;  ///< "hpet"
  static constexpr GuestAddr kBase = 0xfed0'0000;
  static constexpr unsigned kGsis = 32;  ///< those a timer can name
  Hpet();
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  int irq_input_count() const override { return 2; }
  CoResult<> co_prepare(DeviceContext& context) override;
  void connect(AioContext& loop, Clock& clock) { loop_ = &loop, clock_ = &clock; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// The inputs: what is connected to ISA interrupts 0 and 8 unless legacy replacement is on.
  static constexpr int kPitInput = 0, kRtcInput = 1;
  /// Wiring, before realize: the memory that shows the registers (null: nobody's); the machine's interrupt
  /// lines; whether the timer of the board shall drive line 0; who takes messages (empty: they are memory
  /// writes).
  MemoryRegion* memory = nullptr;
  std::array<IrqLine, kGsis> gsi;
  std::function<void(bool on)> on_pit_enabled;
  std::function<void(const MsiMessage&)> send_message;

  /// GCAP_ID bits 31:0, as the ACPI table repeats them.
  uint32_t block_id() const;

  // Properties.
  uint8_t timers = HpetState::kMinTimers;
  bool msi = false;
  uint32_t intcap = 0;  ///< bit n: timers can be routed to interrupt n
  bool offset_saved = true;
  HpetState state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void irq_input(int n, int level) override;

 private:
  uint64_t mmio_read(uint64_t offset, unsigned size);
  void mmio_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t read_register(uint64_t offset) const;
  void write_timer(HpetTimerState& t, unsigned reg, uint64_t value, uint64_t written);
  void write_comparator(HpetTimerState& t, uint64_t value, uint64_t written);
  void write_general_config(uint64_t value);
  bool enabled() const { return (state.config & 1) != 0; }
  bool legacy() const { return (state.config & 2) != 0; }
  uint64_t counter() const;
  void arm(HpetTimerState& t, bool stops_at_wrap = true);
  void fired(unsigned n);
  void set_line(HpetTimerState& t, bool on);
  const IrqLine& line_of(const HpetTimerState& t) const;
  void set_legacy(bool on);
  uint64_t timer_capabilities() const;

  static void before_save(void* object);
  static Result<> after_load(void* object, int version);
  static const VMState kVmState;

  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  std::vector<std::unique_ptr<Timer>> host_timers_;
  MmioOf<Hpet, &Hpet::mmio_read, &Hpet::mmio_write> io_{*this};
  std::unique_ptr<MemoryRegion> region_;
};

}  // namespace rhea
