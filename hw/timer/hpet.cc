#include "hw/timer/hpet.h"

#include <algorithm>

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kBytes = 0x400;
constexpr int64_t kTickNs = 10;
constexpr uint64_t kPeriodFs = 10'000'000;
constexpr uint64_t kGcapId = 0x000, kGenConf = 0x010, kGintrSta = 0x020, kMainCnt = 0x0f0, kTimers = 0x100;
constexpr unsigned kTimerBytes = 0x20;
// GCAP_ID: revision 1, 64-bit counter, legacy replacement, vendor Intel.
constexpr uint32_t kIdentity = 0x8086'a001;
// Tn_CONF.
constexpr uint64_t kLevel = 1 << 1, kIntEnable = 1 << 2, kPeriodic = 1 << 3, kPeriodicCap = 1 << 4,
                   kSizeCap = 1 << 5, kSetValue = 1 << 6, k32Bit = 1 << 8, kFsbEnable = 1 << 14,
                   kFsbCap = 1 << 15;
constexpr uint64_t kTimerWritable =
    kLevel | kIntEnable | kPeriodic | kSetValue | k32Bit | 0x3e00 | kFsbEnable;
constexpr unsigned kRouteShift = 9;
constexpr int kPitLine = 0, kRtcLine = 8;

/// What makes the counter be `counter` now. The guest chooses it: the sum may wrap.
int64_t offset_for(uint64_t counter, int64_t now_ns) {
  return static_cast<int64_t>(counter * kTickNs - static_cast<uint64_t>(now_ns));
}

constexpr PropertyInfo kHpetProperties[] = {prop<&Hpet::timers>("timers"), prop<&Hpet::msi>("msi", "on/off"),
                                            prop<&Hpet::intcap>("hpet-intcap"),
                                            prop<&Hpet::offset_saved>("hpet-offset-saved")};

}  // namespace

constexpr TypeInfo Hpet::kType{.name = "hpet",
                               .parent = &Device::kSysBusType,
                               .create = []() -> std::shared_ptr<Object> { return std::make_shared<Hpet>(); },
                               .properties = kHpetProperties};

Hpet::Hpet() {
  for (unsigned n = 0; n < state.timers.size(); ++n) state.timers[n].number = static_cast<uint8_t>(n);
}

CoResult<> Hpet::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock);
  co_return Result<>();
}

Result<> Hpet::do_realize() {
  if (intcap == 0) return fail(EINVAL, "hpet.hpet-intcap property is not set");
  timers = std::clamp<uint8_t>(timers, HpetState::kMinTimers, HpetState::kMaxTimers);
  for (unsigned n = 0; n < timers; ++n)
    host_timers_.push_back(std::make_unique<Timer>(*loop_, *clock_, [this, n] { fired(n); }));
  for (IrqLine& line : gsi) add_irq_output(line, "sysbus-irq");
  region_ = MemoryRegion::io("hpet", kBytes, io_, {.valid_min = 4, .impl_min = 4, .impl_max = 8});
  if (memory != nullptr) memory->add_subregion(kBase, *region_);
  reset();
  return {};
}

void Hpet::do_unrealize() {
  region_.reset();
  host_timers_.clear();
}

uint32_t Hpet::block_id() const {
  return kIdentity | (timers - 1u) << 8;
}

uint64_t Hpet::timer_capabilities() const {
  return uint64_t{intcap} << 32 | kPeriodicCap | kSizeCap | (msi ? kFsbCap : 0);
}

void Hpet::reset() {
  if (legacy()) set_legacy(false);
  for (unsigned n = 0; n < host_timers_.size(); ++n) {
    HpetTimerState& t = state.timers[n];
    host_timers_[n]->cancel();
    set_line(t, false);
    t = HpetTimerState();
    t.number = static_cast<uint8_t>(n);
    t.config = timer_capabilities();
  }
  state.config = state.status = state.counter = 0;
  state.offset_ns = 0;
}

// --- time

uint64_t Hpet::counter() const {
  if (!enabled()) return state.counter;
  return (static_cast<uint64_t>(clock_->now_ns()) + static_cast<uint64_t>(state.offset_ns)) / kTickNs;
}

/// A comparator that the counter has passed goes off at once: a guest that is stopped for a moment would else
/// wait for the counter to come round. A 32-bit one goes off too when the counter wraps (2.3.9.2.1).
void Hpet::arm(HpetTimerState& t, bool stops_at_wrap) {
  const uint64_t now = counter();
  int64_t ticks = (t.config & k32Bit) != 0
                      ? static_cast<int32_t>(static_cast<uint32_t>(t.comparator) - static_cast<uint32_t>(now))
                      : static_cast<int64_t>(t.comparator - now);
  t.wrap_flag = 0;
  if (const uint32_t to_wrap = UINT32_MAX - static_cast<uint32_t>(now);
      stops_at_wrap && (t.config & (k32Bit | kPeriodic)) == k32Bit && ticks > int64_t{to_wrap}) {
    ticks = to_wrap;
    t.wrap_flag = 1;
  }
  constexpr int64_t kFarTicks = INT64_MAX / (4 * kTickNs);
  // Were a guest to ask for a shorter period, it would keep us at it.
  constexpr int64_t kShortestPeriod = 10'000 / kTickNs;
  ticks = std::clamp(ticks, (t.config & kPeriodic) != 0 ? kShortestPeriod : 1, kFarTicks);
  host_timers_[t.number]->arm_in(ticks * kTickNs);
}

void Hpet::fired(unsigned n) {
  HpetTimerState& t = state.timers[n];
  if ((t.config & kPeriodic) != 0 && t.period != 0) {
    // To the first multiple of the period that is still to come.
    const bool narrow = (t.config & k32Bit) != 0;
    const uint64_t now = counter();
    const uint64_t late = narrow ? static_cast<uint32_t>(now - t.comparator) : now - t.comparator;
    const bool passed = narrow ? static_cast<int32_t>(late) >= 0 : static_cast<int64_t>(late) >= 0;
    t.comparator += passed ? (late / t.period + 1) * t.period : 0;
    if (narrow) t.comparator &= UINT32_MAX;
    arm(t);
  } else if (t.wrap_flag != 0) {
    arm(t, false);
  }
  set_line(t, true);
}

// --- interrupts

const IrqLine& Hpet::line_of(const HpetTimerState& t) const {
  if (legacy() && t.number <= 1) return gsi[t.number == 0 ? kPitLine : kRtcLine];
  return gsi[t.config >> kRouteShift & 0x1f];
}

void Hpet::set_line(HpetTimerState& t, bool on) {
  const uint64_t bit = uint64_t{1} << t.number;
  const IrqLine& line = line_of(t);
  if (!on || (t.config & kIntEnable) == 0 || !enabled()) {
    state.status &= ~bit;
    if ((t.config & kFsbEnable) == 0) line.lower();
    return;
  }
  if ((t.config & kFsbEnable) != 0) {
    const MsiMessage message{.address = t.fsb >> 32, .data = static_cast<uint32_t>(t.fsb)};
    if (send_message)
      send_message(message);
    else
      memory_space().store(message.address, message.data, 4);
  } else if ((t.config & kLevel) != 0) {
    state.status |= bit;
    line.raise();
  } else {
    line.pulse();
  }
}

void Hpet::irq_input(int n, int level) {
  if (n == kRtcInput) state.rtc_level = level != 0;
  if (!legacy()) gsi[n == kPitInput ? kPitLine : kRtcLine].set(level);
}

/// 2.3.5: timers 0 and 1 take the place of the board's timer and clock.
void Hpet::set_legacy(bool on) {
  if (on) {
    state.config |= 2;
    if (on_pit_enabled) on_pit_enabled(false);
    gsi[kPitLine].lower();
    gsi[kRtcLine].lower();
  } else {
    state.config &= ~uint64_t{2};
    gsi[kPitLine].lower();
    if (on_pit_enabled) on_pit_enabled(true);
    gsi[kRtcLine].set(state.rtc_level);
  }
}

// --- registers

uint64_t Hpet::mmio_read(uint64_t offset, unsigned size) {
  const uint64_t value = read_register(offset & ~uint64_t{7}) >> ((offset & 4) != 0 ? 32 : 0);
  return size == 8 ? value : value & UINT32_MAX;
}

uint64_t Hpet::read_register(uint64_t offset) const {
  switch (offset) {
    case kGcapId:
      return kPeriodFs << 32 | block_id();
    case kGenConf:
      return state.config;
    case kGintrSta:
      return state.status;
    case kMainCnt:
      return counter();
    default:
      break;
  }
  const uint64_t n = (offset - kTimers) / kTimerBytes;
  if (offset < kTimers || n >= timers) return 0;
  const HpetTimerState& t = state.timers[n];
  switch (offset % kTimerBytes) {
    case 0x00:
      return t.config;
    case 0x08:
      return t.comparator;
    case 0x10:
      return t.fsb;
    default:
      return 0;
  }
}

void Hpet::mmio_write(uint64_t offset, uint64_t part, unsigned size) {
  const uint64_t at = offset & ~uint64_t{7};
  const unsigned shift = (offset & 4) != 0 ? 32 : 0;
  const uint64_t written = (size == 8 ? UINT64_MAX : uint64_t{UINT32_MAX}) << shift;
  const uint64_t bits = part << shift & written;
  const uint64_t value = (read_register(at) & ~written) | bits;
  switch (at) {
    case kGenConf:
      return write_general_config(value);
    case kGintrSta:
      for (unsigned n = 0; n < timers; ++n)
        if ((bits & state.status & uint64_t{1} << n) != 0) set_line(state.timers[n], false);
      return;
    case kMainCnt:
      if (enabled())
        log_guest_error("hpet: the guest sets the counter while it counts");
      else
        state.counter = value;
      return;
    default:
      break;
  }
  const uint64_t n = (at - kTimers) / kTimerBytes;
  if (at >= kTimers && n < timers)
    write_timer(state.timers[n], static_cast<unsigned>(at % kTimerBytes), bits, written);
}

void Hpet::write_general_config(uint64_t value) {
  const bool was_enabled = enabled(), was_legacy = legacy();
  const bool now_enabled = (value & 1) != 0, now_legacy = (value & 2) != 0;
  if (was_enabled && !now_enabled) {
    state.counter = counter();
    for (const auto& timer : host_timers_) timer->cancel();
  }
  state.config = (value & 1) | (state.config & 2);
  if (!was_enabled && now_enabled) {
    state.offset_ns = offset_for(state.counter, clock_->now_ns());
    for (unsigned n = 0; n < timers; ++n) {
      HpetTimerState& t = state.timers[n];
      if ((t.config & kIntEnable) != 0 && (state.status >> n & 1) != 0) set_line(t, true);
      if (t.comparator != UINT64_MAX) arm(t);
    }
  }
  if (was_legacy != now_legacy) set_legacy(now_legacy);
}

/// The bits `written` of a register become those of `value`.
void Hpet::write_timer(HpetTimerState& t, unsigned reg, uint64_t value, uint64_t written) {
  switch (reg) {
    case 0x00: {
      const uint64_t old = t.config;
      value |= old & ~written;
      uint64_t writable = kTimerWritable & ~(msi ? 0 : kFsbEnable);
      if ((old & (kIntEnable | kLevel)) == (kIntEnable | kLevel) && (value & kIntEnable) == 0)
        set_line(t, false);
      t.config = (value & writable) | (old & ~writable);
      if ((t.config & k32Bit) != 0) {
        t.comparator &= UINT32_MAX;
        t.period &= UINT32_MAX;
      }
      if (enabled() && t.comparator != UINT64_MAX &&
          ((old ^ t.config) & (kIntEnable | kPeriodic | k32Bit)) != 0)
        arm(t);
      return;
    }
    case 0x08:
      // The upper half does not exist for a 32-bit timer.
      if ((t.config & k32Bit) != 0 && (written & UINT32_MAX) == 0) return;
      return write_comparator(t, value, written);
    case 0x10:
      t.fsb = (t.fsb & ~written) | value;
      return;
    default:
      return;
  }
}

/// 2.3.9.2.2: while a timer is periodic, what is written is the period, unless Tn_VAL_SET_CNF lets it be the
/// next time too.
void Hpet::write_comparator(HpetTimerState& t, uint64_t value, uint64_t written) {
  const bool narrow = (t.config & k32Bit) != 0, periodic = (t.config & kPeriodic) != 0;
  const uint64_t width = narrow ? UINT32_MAX : UINT64_MAX;
  if (!periodic || (t.config & kSetValue) != 0) t.comparator = ((t.comparator & ~written) | value) & width;
  if (periodic) t.period = ((t.period & ~written) | value) & width >> 1;
  t.config &= ~kSetValue;
  if (enabled()) arm(t);
}

// --- saved state

namespace {
using T = HpetTimerState;
constexpr VMStateField kTimerFields[] = {field<&T::number>("tn"),
                                         field<&T::config>("config"),
                                         field<&T::comparator>("cmp"),
                                         field<&T::fsb>("fsb"),
                                         field<&T::period>("period"),
                                         field<&T::wrap_flag>("wrap_flag"),
                                         field<&T::deadline_ns>("qemu_timer")};
constexpr VMState kTimer{.name = "hpet_timer", .version = 1, .fields = kTimerFields};

const HpetState& state_of(const void* o) {
  return static_cast<const Hpet*>(o)->state;
}
HpetState& state_of(void* o) {
  return static_cast<Hpet*>(o)->state;
}
template <auto Member>
constexpr VMStateField state_field(const char* name, int since_version = 0) {
  return {.name = name,
          .save = [](const void* o, StateWriter& out,
                     const VMStateField&) { detail::vm_save_value(state_of(o).*Member, out); },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(state_of(o).*Member, in);
            return {};
          },
          .since_version = since_version};
}

constexpr VMStateField kRtcFields[] = {state_field<&HpetState::rtc_level>("rtc_irq_level")};
constexpr VMState kRtc{
    .name = "hpet/rtc_irq_level", .version = 1, .fields = kRtcFields, .needed = [](const void* o) {
      return state_of(o).rtc_level != 0;
    }};
constexpr VMStateField kOffsetFields[] = {state_field<&HpetState::offset_ns>("hpet_offset")};
constexpr VMState kOffset{
    .name = "hpet/offset", .version = 1, .fields = kOffsetFields, .needed = [](const void* o) {
      return (state_of(o).config & 1) != 0 && static_cast<const Hpet*>(o)->offset_saved;
    }};
constexpr const VMState* kSubsections[] = {&kRtc, &kOffset};
constexpr int64_t kNoOffset = INT64_MIN;
constexpr VMStateField kHpetFields[] = {
    state_field<&HpetState::config>("config"),
    state_field<&HpetState::status>("isr"),
    state_field<&HpetState::counter>("hpet_counter"),
    state_field<&HpetState::timers_sent>("num_timers", 2),
    {.name = "timer",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           const HpetState& s = state_of(o);
           for (unsigned n = 0; n < s.timers_sent; ++n)
             vmstate_save(kTimer, const_cast<T*>(&s.timers[n]), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       HpetState& s = state_of(o);
       if (s.timers_sent < HpetState::kMinTimers || s.timers_sent > HpetState::kMaxTimers)
         return fail(EINVAL, "Invalid number of timers: ", s.timers_sent);
       for (unsigned n = 0; n < s.timers_sent; ++n) TRY(vmstate_load(kTimer, &s.timers[n], in, 1));
       return {};
     },
     .nested = &kTimer}};
}  // namespace

void Hpet::before_save(void* object) {
  auto& d = *static_cast<Hpet*>(object);
  d.state.counter = d.counter();
  d.state.timers_sent = d.timers;
  for (unsigned n = 0; n < d.timers; ++n) d.state.timers[n].deadline_ns = d.host_timers_[n]->deadline_ns();
}

Result<> Hpet::after_load(void* object, int) {
  auto& d = *static_cast<Hpet*>(object);
  HpetState& s = d.state;
  if (s.timers_sent != d.timers)
    return fail(EINVAL, s.timers_sent, " timers, while this machine has ", d.timers);
  s.config &= 3;
  if (s.offset_ns == kNoOffset) s.offset_ns = d.enabled() ? offset_for(s.counter, d.clock_->now_ns()) : 0;
  for (unsigned n = 0; n < d.timers; ++n) {
    T& t = s.timers[n];
    if (t.number != n) return fail(EINVAL, "timer ", t.number, " in the place of timer ", n);
    const uint64_t writable = kTimerWritable & ~(d.msi ? 0 : kFsbEnable);
    t.config = (t.config & writable) | d.timer_capabilities();
    d.host_timers_[n]->cancel();
    if (d.enabled() && t.deadline_ns >= 0) d.arm(t);
  }
  if (d.legacy() && d.on_pit_enabled) d.on_pit_enabled(false);
  return {};
}

const VMState Hpet::kVmState{.name = "hpet",
                             .version = 2,
                             .minimum_version = 1,
                             .fields = kHpetFields,
                             .subsections = kSubsections,
                             .pre_save = before_save,
                             .pre_load = [](void* o) -> Result<> {
                               HpetState& s = state_of(o);
                               s.rtc_level = 0;
                               s.offset_ns = kNoOffset;
                               s.timers_sent = HpetState::kMinTimers;
                               return {};
                             },
                             .post_load = after_load};

const VMState* Hpet::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
