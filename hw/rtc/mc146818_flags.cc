// Alarm, update-ended and periodic flags, and the interrupt they make. Timers run only while an interrupt is
// enabled; otherwise the flags are worked out when the guest reads register C.
#include "hw/rtc/mc146818.h"
#include "hw/rtc/rtc_registers.h"

namespace rhea {

using namespace rtc;

namespace {
constexpr int64_t kDay_s = 86400;

int64_t ticks_of(int64_t ns) {  // of the 32768 Hz oscillator; exact, without overflow
  return ns / kSecondNs * kOscillatorHz + ns % kSecondNs * kOscillatorHz / kSecondNs;
}
int64_t ns_of_ticks(int64_t ticks) {  // rounded up: not before the tick
  return ticks / kOscillatorHz * kSecondNs +
         (ticks % kOscillatorHz * kSecondNs + kOscillatorHz - 1) / kOscillatorHz;
}
}  // namespace

void Mc146818::set_flags(uint8_t flags) {
  state.cmos[kC] |= flags;
  if ((flags & state.cmos[kB] & (kPie | kAie | kUie)) == 0) return;
  state.cmos[kC] |= kIrqf;
  irq_line.raise();
}

// --- update ended and alarm

int64_t Mc146818::next_alarm_after(int64_t unix_s) const {
  const auto& c = state.cmos;
  const bool any_h = (c[kHoursAlarm] & kDontCare) == kDontCare;
  const bool any_m = (c[kMinutesAlarm] & kDontCare) == kDontCare;
  const bool any_s = (c[kSecondsAlarm] & kDontCare) == kDontCare;
  const int h = decode_hour(c[kHoursAlarm]), m = decode(c[kMinutesAlarm]), s = decode(c[kSecondsAlarm]);
  int64_t t = unix_s + 1;
  while (t <= unix_s + kDay_s) {
    const CivilTime at = civil_from_unix(t);
    if (!any_h && at.hour != h)
      t += 3600 - at.minute * 60 - at.second;
    else if (!any_m && at.minute != m)
      t += 60 - at.second;
    else if (!any_s && at.second != s)
      ++t;
    else
      return t;
  }
  return -1;  // a time of day that does not exist
}

void Mc146818::catch_up() {
  if (running()) {
    const int64_t now_s = guest_seconds();
    if (now_s > seen_s_) {
      const int64_t alarm_s = next_alarm_after(seen_s_);
      set_flags(kUf | (alarm_s >= 0 && alarm_s <= now_s ? kAf : 0));
    }
    seen_s_ = now_s;
  }
  const uint32_t ticks = period_ticks();
  if (ticks != 0 && (state.cmos[kB] & kPie) == 0) {
    const int64_t period = ticks_of(clock_->now_ns()) / ticks;
    if (period != seen_period_) set_flags(kPf);
    seen_period_ = period;
  }
}

void Mc146818::schedule_update() {
  if (!update_timer_) return;
  const uint8_t enabled = state.cmos[kB];
  const int64_t elapsed = elapsed_ns();  // one reading: a second must not pass within this function
  const int64_t now_s = static_cast<int64_t>(state.base_s) + floor_seconds(elapsed);
  int64_t at_s = -1;
  if (running() && (enabled & kUie) != 0)
    at_s = now_s + 1;
  else if (running() && (enabled & kAie) != 0)
    at_s = next_alarm_after(now_s);
  if (at_s < 0) {
    update_timer_->cancel();
    return;
  }
  const int64_t into_second_ns = elapsed - floor_seconds(elapsed) * kSecondNs;
  update_timer_->arm_in((at_s - now_s) * kSecondNs - into_second_ns);
}

void Mc146818::updated() {
  const bool alarm_seen = (state.cmos[kC] & kAf) != 0;
  catch_up();
  if (!alarm_seen && (state.cmos[kC] & state.cmos[kB] & kAf) != 0 && on_alarm) on_alarm();
  schedule_update();
}

// --- periodic

uint32_t Mc146818::period_ticks() const {
  // Table 5: rates 1 and 2 repeat 8 and 9 with a 32.768 kHz time base.
  if ((state.cmos[kA] & kDivider) > kDividerRuns) return 0;
  const unsigned rate = state.cmos[kA] & kRate;
  if (rate == 0) return 0;
  return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

/// A period counts from the last interrupt, also when the guest has changed its length since.
void Mc146818::schedule_periodic() {
  if (!periodic_timer_) return;
  const uint32_t before = state.period;
  const uint32_t ticks = (state.cmos[kB] & kPie) != 0 ? period_ticks() : 0;
  const int64_t now_ticks = ticks_of(clock_->now_ns());
  state.period = ticks;
  if (before != ticks) state.irq_coalesced = 0;
  if (ticks == 0) {
    periodic_timer_->cancel();
    seen_period_ = period_ticks() == 0 ? 0 : now_ticks / period_ticks();
    return;
  }
  int64_t last = now_ticks;
  if (before != 0) last = std::clamp(ticks_of(state.next_periodic_ns) - before, now_ticks - ticks, now_ticks);
  state.next_periodic_ns = ns_of_ticks(last + ticks);
  periodic_timer_->arm(state.next_periodic_ns);
}

void Mc146818::ticked() {
  const uint32_t ticks = state.period;
  if (ticks == 0) return;
  const int64_t due = ticks_of(state.next_periodic_ns);
  const int64_t late = std::max<int64_t>((ticks_of(clock_->now_ns()) - due) / ticks, 0);  // periods
  if (lost_tick_policy == LostTickPolicy::kSlew) {
    const int64_t lost = late + ((state.cmos[kC] & kPf) != 0 ? 1 : 0);
    constexpr int64_t kMaxLost = 1 << 20;
    state.irq_coalesced = static_cast<uint32_t>(std::min(kMaxLost, state.irq_coalesced + lost));
  }
  set_flags(kPf);
  state.next_periodic_ns = ns_of_ticks(due + (late + 1) * ticks);
  periodic_timer_->arm(state.next_periodic_ns);
}

}  // namespace rhea
