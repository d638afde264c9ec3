#include "hw/acpi/pm1.h"

namespace rhea {

namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kHalfPeriod = int64_t{1} << 23;  // ticks between changes of bit 23

int64_t ticks_of(int64_t ns) {
  return static_cast<int64_t>(static_cast<__int128>(ns) * AcpiFixedHardware::kTimerHz / kNsPerSecond);
}
int64_t ns_of(int64_t ticks) {
  return static_cast<int64_t>(
      (static_cast<__int128>(ticks) * kNsPerSecond + AcpiFixedHardware::kTimerHz - 1) /
      AcpiFixedHardware::kTimerHz);
}

template <class T>
uint64_t read_part(T value, uint64_t byte, unsigned size) {
  return uint64_t{value} >> (8 * byte) & (size == 1 ? 0xff : 0xffff);
}

}  // namespace

AcpiFixedHardware::AcpiFixedHardware(AioContext& loop, Clock& clock, IrqLine sci,
                                     std::function<void(unsigned)> enter_sleep)
    : clock_(clock),
      sci_(sci),
      enter_sleep_(std::move(enter_sleep)),
      overflow_timer_(loop, clock, [this] { timer_overflowed(); }) {}

void AcpiFixedHardware::map_registers(MemoryRegion& container) {
  constexpr AccessRules kWord{.valid_min = 1, .valid_max = 2, .impl_min = 1, .impl_max = 2};
  event_region_ = MemoryRegion::io("acpi-evt", 4, event_io_, kWord);
  control_region_ = MemoryRegion::io("acpi-cnt", 2, control_io_, kWord);
  timer_region_ = MemoryRegion::io("acpi-tmr", 4, timer_io_,
                                   {.valid_min = 1, .valid_max = 4, .impl_min = 4, .impl_max = 4});
  container.add_subregion(0, *event_region_);
  container.add_subregion(4, *control_region_);
  container.add_subregion(8, *timer_region_);
}

void AcpiFixedHardware::map_gpe(MemoryRegion& io, uint64_t address) {
  gpe_region_ = MemoryRegion::io("acpi-gpe0", 4, gpe_io_,
                                 {.valid_min = 1, .valid_max = 4, .impl_min = 1, .impl_max = 1});
  io.add_subregion(address, *gpe_region_);
}

void AcpiFixedHardware::reset() {
  state = {};
  schedule_overflow();
  update();
}

void AcpiFixedHardware::schedule_overflow() {
  state.overflow_ticks = (ticks_of(clock_.now_ns()) / kHalfPeriod + 1) * kHalfPeriod;
}

void AcpiFixedHardware::refresh_timer_status() {
  if (ticks_of(clock_.now_ns()) >= state.overflow_ticks) state.status |= kTimerStatus;
}

void AcpiFixedHardware::timer_overflowed() {
  update();
  if (on_timer) on_timer();
}

// ACPI 4.8.3.1.1: WAK_STS is set with the status of the event; a power button press stands for events without
// a status bit of their own.
void AcpiFixedHardware::report_wakeup(WakeupReason reason) {
  state.status |= kWakeStatus;
  state.status |= reason == WakeupReason::kRtc       ? kRtcStatus
                  : reason == WakeupReason::kPmTimer ? kTimerStatus
                                                     : kPowerButton;
  update();
}

void AcpiFixedHardware::update() {
  refresh_timer_status();
  constexpr uint16_t kWakers = kTimerStatus | kGlobalStatus | kPowerButton | kRtcStatus;
  bool sci = (state.status & state.enable & kWakers) != 0;
  for (size_t i = 0; i < state.gpe_status.size(); ++i)
    sci |= (state.gpe_status[i] & state.gpe_enable[i]) != 0;
  sci_.set(sci);
  if (const int64_t deadline = overflow_deadline_ns(); deadline >= 0)
    overflow_timer_.arm(deadline);
  else
    overflow_timer_.cancel();
}

int64_t AcpiFixedHardware::overflow_deadline_ns() const {
  const bool awaited = (state.enable & kTimerStatus) != 0 && (state.status & kTimerStatus) == 0;
  return awaited ? ns_of(state.overflow_ticks) : -1;
}

void AcpiFixedHardware::press_power_button() {
  state.status |= kPowerButton;
  update();
}

void AcpiFixedHardware::raise_gpe(unsigned n) {
  state.gpe_status[n / 8] |= static_cast<uint8_t>(1u << (n % 8));
  update();
}

void AcpiFixedHardware::set_sci_enabled(bool on) {
  state.control = static_cast<uint16_t>(on ? state.control | kSciEnable : state.control & ~kSciEnable);
}

uint64_t AcpiFixedHardware::event_read(uint64_t offset, unsigned size) {
  refresh_timer_status();
  return offset < 2 ? read_part(state.status, offset, size) : read_part(state.enable, offset - 2, size);
}

void AcpiFixedHardware::event_write(uint64_t offset, uint64_t value, unsigned size) {
  const auto shifted = static_cast<uint16_t>(size == 1 ? (value & 0xff) << (8 * (offset & 1)) : value);
  const auto mask = static_cast<uint16_t>(size == 1 ? 0xff << (8 * (offset & 1)) : 0xffff);
  if (offset < 2) {
    refresh_timer_status();
    if ((shifted & state.status & kTimerStatus) != 0) schedule_overflow();
    state.status = static_cast<uint16_t>(state.status & ~shifted);
  } else {
    state.enable = static_cast<uint16_t>((state.enable & ~mask) | (shifted & mask));
  }
  update();
}

uint64_t AcpiFixedHardware::control_read(uint64_t offset, unsigned size) {
  return read_part(state.control, offset, size);
}

void AcpiFixedHardware::control_write(uint64_t offset, uint64_t value, unsigned size) {
  const auto shifted = static_cast<uint16_t>(size == 1 ? (value & 0xff) << (8 * offset) : value);
  const auto mask = static_cast<uint16_t>(size == 1 ? 0xff << (8 * offset) : 0xffff);
  // SLP_EN is write-only and reads as zero (4.8.3.2.1).
  state.control = static_cast<uint16_t>(((state.control & ~mask) | (shifted & mask)) & ~kSleepEnable);
  if ((shifted & mask & kSleepEnable) != 0) enter_sleep_(state.control >> 10 & 7);
}

uint64_t AcpiFixedHardware::timer_read(uint64_t, unsigned) {
  return static_cast<uint64_t>(ticks_of(clock_.now_ns())) & 0xff'ffff;
}

uint64_t AcpiFixedHardware::gpe_read(uint64_t offset, unsigned) {
  return offset < 2 ? state.gpe_status[offset] : state.gpe_enable[offset - 2];
}

void AcpiFixedHardware::gpe_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset < 2)
    state.gpe_status[offset] &= static_cast<uint8_t>(~value);
  else
    state.gpe_enable[offset - 2] = static_cast<uint8_t>(value);
  update();
}

// QEMU sends each GPE register as 16 bits.
constexpr VMStateField kGpeFields[] = {
    {.name = "sts",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           const auto& s = static_cast<const AcpiFixedHardware*>(o)->state;
           out.put_be16(load_le<uint16_t>(s.gpe_status.data()));
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       store_le<uint16_t>(static_cast<AcpiFixedHardware*>(o)->state.gpe_status.data(), in.get_be16());
       return {};
     }},
    {.name = "en",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           const auto& s = static_cast<const AcpiFixedHardware*>(o)->state;
           out.put_be16(load_le<uint16_t>(s.gpe_enable.data()));
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       store_le<uint16_t>(static_cast<AcpiFixedHardware*>(o)->state.gpe_enable.data(), in.get_be16());
       return {};
     }},
};
constexpr VMState AcpiFixedHardware::kGpeVmState{.name = "gpe", .version = 1, .fields = kGpeFields};

}  // namespace rhea
