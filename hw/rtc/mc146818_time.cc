// The time itself: a distance from a host clock, turned into bytes when the guest looks.
#include "hw/rtc/mc146818.h"
#include "hw/rtc/rtc_registers.h"

namespace rhea {

using namespace rtc;

namespace {
// UIP warns for 8 periods of the 32.768 kHz oscillator (t_BUC, 244 us); the update that follows takes no
// time.
constexpr int64_t kUpdateNs = 8 * kSecondNs / kOscillatorHz;
// More than the registers can tell, little enough to compute with: some 31000 years.
constexpr int64_t kMaxSeconds = 1'000'000'000'000;

constexpr int64_t wrap_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
}  // namespace

bool Mc146818::running() const {
  return (state.cmos[kB] & kSet) == 0 && (state.cmos[kA] & kDivider) <= kDividerRuns;
}

int64_t Mc146818::elapsed_ns() const {
  const int64_t since = static_cast<int64_t>(static_cast<uint64_t>(clock_->now_ns()) - state.last_update_ns);
  return wrap_add(since, state.offset_ns);
}

int64_t Mc146818::guest_seconds() const {
  return static_cast<int64_t>(state.base_s) + floor_seconds(elapsed_ns());
}

int64_t Mc146818::subsecond_ns() const {
  const int64_t ns = elapsed_ns();
  return ns - floor_seconds(ns) * kSecondNs;
}

void Mc146818::set_guest_time(int64_t unix_s, int64_t subsecond) {
  state.base_s = static_cast<uint64_t>(unix_s);
  state.last_update_ns = static_cast<uint64_t>(clock_->now_ns());
  state.offset_ns = subsecond;
  seen_s_ = unix_s;
  shown_s_ = INT64_MIN;
}

CivilTime Mc146818::guest_time() const {
  return civil_from_unix(running() ? guest_seconds() : time_from_bytes());
}

Json Mc146818::guest_date() const {
  const CivilTime t = guest_time();
  return Json::object({{"tm_year", t.year - 1900},
                       {"tm_mon", t.month - 1},
                       {"tm_mday", t.day},
                       {"tm_hour", t.hour},
                       {"tm_min", t.minute},
                       {"tm_sec", t.second}});
}

uint8_t Mc146818::encode(int value) const {
  if ((state.cmos[kB] & kBinary) != 0) return static_cast<uint8_t>(value);
  return static_cast<uint8_t>(value / 10 << 4 | value % 10);
}

int Mc146818::decode(uint8_t byte) const {
  return (state.cmos[kB] & kBinary) != 0 ? byte : (byte >> 4) * 10 + (byte & 0x0f);
}

uint8_t Mc146818::encode_hour(int hour) const {
  if ((state.cmos[kB] & k24Hours) != 0) return encode(hour);
  const int twelve = hour % 12 == 0 ? 12 : hour % 12;
  return encode(twelve) | (hour >= 12 ? kPm : 0);
}

int Mc146818::decode_hour(uint8_t byte) const {
  if ((state.cmos[kB] & k24Hours) != 0) return decode(byte);
  const int hour = decode(static_cast<uint8_t>(byte & ~kPm)) % 12;
  return (byte & kPm) != 0 ? hour + 12 : hour;
}

void Mc146818::load_time_bytes(int64_t unix_s) {
  const CivilTime t = civil_from_unix(unix_s);
  const int year = t.year - base_year;
  auto& c = state.cmos;
  c[kSeconds] = encode(t.second);
  c[kMinutes] = encode(t.minute);
  c[kHours] = encode_hour(t.hour);
  c[kWeekday] = encode(t.weekday + 1);
  c[kDay] = encode(t.day);
  c[kMonth] = encode(t.month);
  c[kYear] = encode((year % 100 + 100) % 100);
  c[kCentury] = encode(year < 0 ? 0 : year / 100 % 100);
  shown_s_ = unix_s;
}

int64_t Mc146818::time_from_bytes() const {
  const auto& c = state.cmos;
  CivilTime t;
  t.second = decode(c[kSeconds]);
  t.minute = decode(c[kMinutes]);
  t.hour = decode_hour(c[kHours]);
  t.day = decode(c[kDay]);
  t.month = decode(c[kMonth]);
  t.year = decode(c[kYear]) + base_year + decode(c[kCentury]) * 100;
  return unix_from_civil(t);
}

void Mc146818::refresh_time_bytes() {
  if (!running()) return;
  const int64_t now_s = guest_seconds();
  if (now_s != shown_s_) load_time_bytes(now_s);
}

void Mc146818::time_written(int64_t phase_ns) {
  const int64_t unix_s = time_from_bytes();
  set_guest_time(unix_s, phase_ns < 0 ? 0 : phase_ns);
  const int64_t base_s = floor_seconds(host_clock().now_ns()) + base_difference_s_;
  if (on_change) on_change(unix_s - base_s);
  schedule_update();
}

bool Mc146818::update_in_progress() const {
  return running() && subsecond_ns() >= kSecondNs - kUpdateNs;
}

// --- saved state

void Mc146818::before_save(void* object) {
  auto& rtc = *static_cast<Mc146818*>(object);
  rtc.refresh_time_bytes();
  RtcState& s = rtc.state;
  s.periodic_deadline_ns = rtc.periodic_timer_ ? rtc.periodic_timer_->deadline_ns() : -1;
  s.update_deadline_ns = rtc.update_timer_ ? rtc.update_timer_->deadline_ns() : -1;
  const int64_t alarm_s = rtc.running() ? rtc.next_alarm_after(rtc.guest_seconds()) : -1;
  s.next_alarm_ns = alarm_s < 0
                        ? UINT64_MAX
                        : s.last_update_ns - static_cast<uint64_t>(s.offset_ns) +
                              (static_cast<uint64_t>(alarm_s) - s.base_s) * static_cast<uint64_t>(kSecondNs);
}

Result<> Mc146818::after_load(void* object, int version) {
  auto& rtc = *static_cast<Mc146818*>(object);
  RtcState& s = rtc.state;
  s.index &= 0x7f;
  s.cmos[kD] = kVrt;
  if (version < 3 || rtc.options.clock == RtcOptions::Source::kRealtime) {
    // Such a time means nothing on this host: take what the bytes say.
    rtc.set_guest_time(rtc.time_from_bytes(), 0);
  } else if (const auto base = static_cast<int64_t>(s.base_s); base > kMaxSeconds || base < -kMaxSeconds) {
    return fail(EINVAL, "time base ", base, " s is out of range");
  }
  rtc.shown_s_ = INT64_MIN;
  rtc.seen_s_ = rtc.guest_seconds();
  rtc.irq_line.set((s.cmos[kC] & kIrqf) != 0);
  rtc.schedule_periodic();
  rtc.schedule_update();
  return {};
}

namespace {
using S = RtcState;
constexpr VMStateField kReinjectFields[] = {field<&S::reinjected>("irq_reinject_on_ack_count")};
constexpr VMState kReinject{
    .name = "mc146818rtc/irq_reinject_on_ack_count", .fields = kReinjectFields, .needed = [](const void* o) {
      return static_cast<const S*>(o)->reinjected != 0;
    }};
constexpr const VMState* kSubsections[] = {&kReinject};
constexpr VMStateField kStateFields[] = {field<&S::cmos>("cmos_data"),
                                         field<&S::index>("cmos_index"),
                                         padding(7 * 4),
                                         field<&S::periodic_deadline_ns>("periodic_timer"),
                                         field<&S::next_periodic_ns>("next_periodic_time"),
                                         padding(3 * 8),
                                         field<&S::irq_coalesced>("irq_coalesced", 2),
                                         field<&S::period>("period", 2),
                                         field<&S::base_s>("base_rtc", 3),
                                         field<&S::last_update_ns>("last_update", 3),
                                         field<&S::offset_ns>("offset", 3),
                                         field<&S::update_deadline_ns>("update_timer", 3),
                                         field<&S::next_alarm_ns>("next_alarm_time", 3)};
constexpr VMState kState{.name = "mc146818rtc",
                         .version = 3,
                         .minimum_version = 1,
                         .fields = kStateFields,
                         .subsections = kSubsections};
constexpr VMStateField kFields[] = {
    {.name = "state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kState, const_cast<RtcState*>(&static_cast<const Mc146818*>(o)->state), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&,
                int version) { return vmstate_load(kState, &static_cast<Mc146818*>(o)->state, in, version); },
     .nested = &kState}};
}  // namespace

constexpr VMState Mc146818::kVmState{.name = "mc146818rtc",
                                     .version = 3,
                                     .minimum_version = 1,
                                     .fields = kFields,
                                     .pre_save = before_save,
                                     .post_load = after_load};

const VMState* Mc146818::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
