// One counter of the 8254: what it counts and what its output shows, as functions of time.
// Spec: Intel 82C54 data sheet (231244-006), "Mode Definitions".
#pragma once

#include <cstdint>

namespace rhea {

constexpr int64_t kPitHz = 1'193'182;

struct PitChannelState {
  uint32_t count = 0x10000;  ///< ticks of a period, 1..0x10000
  uint16_t latched_count = 0;
  uint8_t count_latched = 0;  ///< bytes of it still to be read: an access mode, 0: none
  uint8_t status_latched = 0;
  uint8_t status = 0;
  uint8_t read_state = 0;
  uint8_t write_state = 0;
  uint8_t write_latch = 0;  ///< the low byte, while the high one has not come
  uint8_t rw_mode = 0;
  uint8_t mode = 3;  ///< 0..5
  uint8_t bcd = 0;
  uint8_t gate = 1;
  int64_t count_load_time_ns = 0;   ///< when counting began
  int64_t next_transition_ns = -1;  ///< of the output; -1: it stays as it is
};

class PitChannel {
 public:
  static constexpr uint8_t kLow = 1, kHigh = 2, kBoth = 3, kBothHigh = 4;  ///< access modes and their steps

  PitChannelState state;

  void control(uint8_t word, int64_t now_ns);
  void latch_count(int64_t now_ns);
  void latch_status(int64_t now_ns);
  uint8_t read(int64_t now_ns);
  void write(uint8_t value, int64_t now_ns);
  void set_gate(bool on, int64_t now_ns);
  bool output(int64_t now_ns) const;
  /// When the output changes next after `now_ns`; -1: never by itself.
  int64_t next_transition(int64_t now_ns) const;
  void before_save(int64_t now_ns);
  void after_load(int64_t now_ns);

 private:
  int64_t elapsed_ticks(int64_t now_ns) const;
  uint16_t current_count(int64_t now_ns) const;
  void load_count(uint16_t value, int64_t now_ns);
  bool counts_only_with_gate() const { return state.mode != 1 && state.mode != 5; }
  bool frozen() const { return state.gate == 0 && counts_only_with_gate(); }

  bool null_count_ = false;  ///< a mode is set, its count has not come yet
  int64_t frozen_ns_ = 0;    ///< how long it had counted when the gate closed
};

}  // namespace rhea
