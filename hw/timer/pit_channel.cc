#include "hw/timer/pit_channel.h"

namespace rhea {

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kLongAgoNs = 60 * kSecondNs;  // longer than any count

int64_t ticks_of(int64_t ns) {
  return static_cast<int64_t>(static_cast<__int128>(ns) * kPitHz / kSecondNs);
}
int64_t ns_of(int64_t ticks) {  // rounded up: not before the tick
  return static_cast<int64_t>((static_cast<__int128>(ticks) * kSecondNs + kPitHz - 1) / kPitHz);
}
uint16_t to_bcd(uint32_t v) {
  return static_cast<uint16_t>(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}
uint32_t from_bcd(uint16_t v) {
  return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

}  // namespace

int64_t PitChannel::elapsed_ticks(int64_t now_ns) const {
  const int64_t ns = frozen() ? frozen_ns_ : now_ns - state.count_load_time_ns;
  return ns < 0 ? 0 : ticks_of(ns);
}

uint16_t PitChannel::current_count(int64_t now_ns) const {
  const int64_t d = elapsed_ticks(now_ns);
  const int64_t count = state.count;
  int64_t value;
  if (state.mode == 2)
    value = count - d % count;
  else if (state.mode == 3)
    value = count - 2 * d % count;
  else
    value = count - d;
  if (state.bcd == 0) return static_cast<uint16_t>(value);
  return to_bcd(static_cast<uint32_t>((value % 10000 + 10000) % 10000));
}

bool PitChannel::output(int64_t now_ns) const {
  const PitChannelState& s = state;
  if (null_count_) return s.mode != 0;
  if (s.gate == 0 && (s.mode == 2 || s.mode == 3)) return true;
  const int64_t d = elapsed_ticks(now_ns);
  const int64_t count = s.count;
  switch (s.mode) {
    case 0:
    case 1:
      return d >= count;
    case 2:
      return count < 2 || d % count != count - 1;
    case 3:
      return count < 2 || d % count < (count + 1) / 2;
    default:
      return d != count;
  }
}

int64_t PitChannel::next_transition(int64_t now_ns) const {
  const PitChannelState& s = state;
  if (null_count_ || frozen()) return -1;
  const int64_t d = elapsed_ticks(now_ns);
  const int64_t count = s.count;
  int64_t next = -1;
  if (s.mode == 0 || s.mode == 1) {
    if (d < count) next = count;
  } else if (s.mode == 2 || s.mode == 3) {
    if (count < 2) return -1;  // not a legal count
    const int64_t into = d % count;
    const int64_t falls = s.mode == 2 ? count - 1 : (count + 1) / 2;
    next = d - into + (into < falls ? falls : count);
  } else if (d <= count) {
    next = d < count ? count : count + 1;
  }
  return next < 0 ? -1 : s.count_load_time_ns + ns_of(next);
}

// --- the processor's side

void PitChannel::control(uint8_t word, int64_t now_ns) {
  PitChannelState& s = state;
  const uint8_t access = word >> 4 & 3;
  if (access == 0) {
    latch_count(now_ns);
    return;
  }
  const uint8_t mode = word >> 1 & 7;
  s.rw_mode = s.read_state = s.write_state = access;
  s.count_latched = s.status_latched = 0;
  s.mode = mode > 5 ? mode & 3 : mode;
  s.bcd = word & 1;
  null_count_ = true;
  // Modes 1 and 5 wait for their gate: as if they had run down long ago.
  s.count_load_time_ns = counts_only_with_gate() ? now_ns : now_ns - kLongAgoNs;
  frozen_ns_ = 0;
}

void PitChannel::latch_count(int64_t now_ns) {
  if (state.count_latched != 0) return;  // the first one holds until it is read
  state.latched_count = current_count(now_ns);
  state.count_latched = state.rw_mode == 0 ? kBoth : state.rw_mode;
}

void PitChannel::latch_status(int64_t now_ns) {
  PitChannelState& s = state;
  if (s.status_latched != 0) return;
  s.status = static_cast<uint8_t>((output(now_ns) ? 0x80 : 0) | (null_count_ ? 0x40 : 0) | s.rw_mode << 4 |
                                  s.mode << 1 | s.bcd);
  s.status_latched = 1;
}

uint8_t PitChannel::read(int64_t now_ns) {
  PitChannelState& s = state;
  if (s.status_latched != 0) {
    s.status_latched = 0;
    return s.status;
  }
  if (s.count_latched != 0) {
    const bool low = s.count_latched == kLow || s.count_latched == kBoth;
    s.count_latched = s.count_latched == kBoth ? kHigh : 0;
    return static_cast<uint8_t>(low ? s.latched_count : s.latched_count >> 8);
  }
  const uint16_t count = current_count(now_ns);
  const bool low = s.read_state == kLow || s.read_state == kBoth;
  if (s.read_state == kBoth)
    s.read_state = kBothHigh;
  else if (s.read_state == kBothHigh)
    s.read_state = kBoth;
  return static_cast<uint8_t>(low ? count : count >> 8);
}

void PitChannel::write(uint8_t value, int64_t now_ns) {
  PitChannelState& s = state;
  switch (s.write_state) {
    case kLow:
      load_count(value, now_ns);
      break;
    case kHigh:
      load_count(static_cast<uint16_t>(value << 8), now_ns);
      break;
    case kBoth:
      s.write_latch = value;
      s.write_state = kBothHigh;
      if (s.mode == 0) null_count_ = true;  // the first byte stops the counter
      break;
    case kBothHigh:
      load_count(static_cast<uint16_t>(value << 8 | s.write_latch), now_ns);
      s.write_state = kBoth;
      break;
    default:
      break;  // no mode was ever set
  }
}

void PitChannel::load_count(uint16_t value, int64_t now_ns) {
  PitChannelState& s = state;
  if (s.bcd != 0) {
    const uint32_t decimal = from_bcd(value);
    s.count = decimal == 0 ? 10000 : decimal;
  } else {
    s.count = value == 0 ? 0x10000 : value;
  }
  null_count_ = false;
  if (!counts_only_with_gate()) return;
  s.count_load_time_ns = now_ns;
  frozen_ns_ = 0;
}

void PitChannel::set_gate(bool on, int64_t now_ns) {
  PitChannelState& s = state;
  if (on == (s.gate != 0)) return;
  if (!on) {
    if (counts_only_with_gate()) frozen_ns_ = now_ns - s.count_load_time_ns;
  } else if (s.mode == 0 || s.mode == 4) {
    s.count_load_time_ns = now_ns - frozen_ns_;  // goes on
  } else if (!null_count_) {
    s.count_load_time_ns = now_ns;  // starts anew
  }
  s.gate = on ? 1 : 0;
}

// --- saved state

void PitChannel::before_save(int64_t now_ns) {
  if (frozen()) state.count_load_time_ns = now_ns - frozen_ns_;
}

void PitChannel::after_load(int64_t now_ns) {
  null_count_ = false;
  frozen_ns_ = now_ns - state.count_load_time_ns;
}

}  // namespace rhea
