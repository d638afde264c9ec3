#include "hw/rtc/mc146818.h"

#include "hw/rtc/rtc_registers.h"
#include "util/log.h"

namespace rhea {

using namespace rtc;

namespace {
constexpr PropertyInfo kProperties[] = {prop<&Mc146818::base_year>("base_year"),
                                        prop<&Mc146818::iobase>("iobase"), prop<&Mc146818::irq>("irq"),
                                        prop<&Mc146818::lost_tick_policy>("lost_tick_policy")};
}  // namespace

constexpr TypeInfo Mc146818::kType{
    .name = "mc146818rtc",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Mc146818>(); },
    .properties = kProperties,
    .description = "real-time clock"};

CoResult<> Mc146818::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock);
  co_return Result<>();
}

Result<> Mc146818::do_realize() {
  if (irq > 15) return fail(EINVAL, "mc146818rtc: there is no ISA interrupt ", irq);
  if (iobase > 0xfffe) return fail(EINVAL, "mc146818rtc: iobase ", iobase, " leaves no room for 2 ports");
  if (lost_tick_policy == LostTickPolicy::kDelay) return fail(EINVAL, "Invalid lost tick policy");
  if (options.driftfix_slew) lost_tick_policy = LostTickPolicy::kSlew;
  if (!irq_line) irq_line = isa_bus().irq(irq);
  add_irq_output(irq_line);
  using Source = RtcOptions::Source;
  clock_ = options.clock == Source::kHost       ? &host_clock()
           : options.clock == Source::kRealtime ? &realtime_clock()
                                                : guest_clock_;
  update_timer_ = std::make_unique<Timer>(*loop_, *clock_, [this] { updated(); });
  periodic_timer_ = std::make_unique<Timer>(*loop_, *clock_, [this] { ticked(); });

  const int64_t wall_s = host_clock().now_ns() / kSecondNs;
  if (options.base == RtcOptions::Base::kDate) {
    base_difference_s_ = options.date_unix_s - wall_s;
  } else if (options.base == RtcOptions::Base::kLocaltime) {
    const time_t now = wall_s;
    tm local{};
    if (localtime_r(&now, &local) != nullptr) base_difference_s_ = local.tm_gmtoff;
  }
  state.cmos[kA] = 0x26;
  state.cmos[kB] = k24Hours;
  state.cmos[kC] = 0;
  state.cmos[kD] = kVrt;
  set_guest_time(wall_s + base_difference_s_, 0);
  load_time_bytes(guest_seconds());
  add_value("date", "struct tm", [this] { return guest_date(); });
  add_ports(iobase, 2, io_, "rtc", {.impl_max = 1});
  return {};
}

void Mc146818::do_unrealize() {
  IsaDevice::do_unrealize();
  update_timer_.reset();
  periodic_timer_.reset();
}

void Mc146818::reset() {
  if (!realized()) return;
  state.cmos[kB] &= static_cast<uint8_t>(~(kPie | kAie | kUie | kSqwe));
  state.cmos[kC] = 0;
  state.irq_coalesced = 0;
  nmi_masked_ = false;
  irq_line.lower();
  schedule_periodic();
  schedule_update();
}

void Mc146818::set_cmos(uint8_t index, uint8_t value) {
  state.cmos[index & 0x7f] = value;
}

// --- ports

uint64_t Mc146818::io_read(uint64_t offset, unsigned) {
  return offset == 0 ? 0xff : read_register();
}

void Mc146818::io_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == 0) {
    state.index = value & 0x7f;
    nmi_masked_ = (value & 0x80) != 0;
  } else {
    write_register(state.index, static_cast<uint8_t>(value));
  }
}

uint8_t Mc146818::read_register() {
  switch (state.index) {
    case kSeconds:
    case kMinutes:
    case kHours:
    case kWeekday:
    case kDay:
    case kMonth:
    case kYear:
    case kCentury:
      refresh_time_bytes();
      break;
    case kCenturyPs2:
      refresh_time_bytes();
      return state.cmos[kCentury];
    case kA:
      return state.cmos[kA] | (update_in_progress() ? kUip : 0);
    case kC:
      return read_status_c();
    default:
      break;
  }
  return state.cmos[state.index];
}

uint8_t Mc146818::read_status_c() {
  catch_up();
  const uint8_t flags = std::exchange(state.cmos[kC], 0);
  if ((flags & kIrqf) != 0) irq_line.lower();
  // Slewing: a lost tick follows as soon as the guest has seen the one before.
  if (state.irq_coalesced != 0 && (state.cmos[kB] & kPie) != 0) {
    --state.irq_coalesced;
    set_flags(kPf);
  }
  schedule_update();
  return flags;
}

void Mc146818::write_register(uint8_t index, uint8_t value) {
  switch (index) {
    case kSecondsAlarm:
    case kMinutesAlarm:
    case kHoursAlarm:
      catch_up();
      state.cmos[index] = value;
      schedule_update();
      break;
    case kCenturyPs2:
      index = kCentury;
      [[fallthrough]];
    case kCentury:
    case kSeconds:
    case kMinutes:
    case kHours:
    case kWeekday:
    case kDay:
    case kMonth:
    case kYear:
      refresh_time_bytes();
      state.cmos[index] = value;
      if (running()) time_written(subsecond_ns());
      break;
    case kA:
      write_status_a(value);
      break;
    case kB:
      write_status_b(value);
      break;
    case kC:
    case kD:
      break;  // read-only
    default:
      state.cmos[index] = value;
      break;
  }
}

void Mc146818::write_status_a(uint8_t value) {
  const bool ran = running();
  refresh_time_bytes();
  catch_up();
  const bool was_reset = (state.cmos[kA] & kDividerReset) == kDividerReset;
  const bool rate_changed = ((state.cmos[kA] ^ value) & (kDivider | kRate)) != 0;
  state.cmos[kA] = static_cast<uint8_t>(value & ~kUip);
  if (ran && !running()) state.offset_ns = 0;
  if (!ran && running()) {
    // The first update comes half a second after the divider chain starts.
    set_guest_time(time_from_bytes(), was_reset ? kSecondNs / 2 : 0);
  }
  if (rate_changed) schedule_periodic();
  schedule_update();
}

void Mc146818::write_status_b(uint8_t value) {
  const uint8_t old = state.cmos[kB];
  const bool ran = running();
  catch_up();
  refresh_time_bytes();
  const int64_t phase_ns = ran ? subsecond_ns() : 0;
  if ((value & kSet) != 0) value &= static_cast<uint8_t>(~kUie);  // data sheet: SET clears UIE
  state.cmos[kB] = value;
  if (ran && !running()) state.offset_ns = phase_ns;  // goes on at the same phase later
  if (!ran && running()) {
    time_written(state.offset_ns % kSecondNs);
  } else if (running() && ((old ^ value) & (kBinary | k24Hours)) != 0) {
    shown_s_ = INT64_MIN;  // the same time, shown in the new format
  }
  if (((old ^ value) & kPie) != 0) schedule_periodic();
  const uint8_t flags = state.cmos[kC] & (kPf | kAf | kUf);
  if ((flags & value) != 0) {
    set_flags(flags);
  } else if ((state.cmos[kC] & kIrqf) != 0) {
    state.cmos[kC] &= static_cast<uint8_t>(~kIrqf);
    irq_line.lower();
  }
  schedule_update();
}

}  // namespace rhea
