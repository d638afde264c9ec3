// A PS/2 keyboard with scan code sets 1 and 2.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
#pragma once

#include "hw/input/ps2.h"

namespace rhea {

struct Ps2KeyboardState {
  int32_t scan_enabled = 1;
  int32_t translate = 0;  ///< the controller turns set 2 into set 1
  int32_t scancode_set = 2;
  int32_t leds = 0;
  uint8_t need_high_bit = 0;
};

class Ps2Keyboard final : public Ps2Device {
 public:
  static const TypeInfo kType;  ///< "ps2-kbd"
  static constexpr uint16_t kPause = 0xe11d;
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }
  void command(uint8_t byte) override;

  /// A key goes down or up. `key` is its make code in set 1, with 0xe0 in the upper byte for the keys that
  /// have this prefix ("Insert" 0xe052), or kPause. Keys that do not fit the queue are lost.
  void key_event(uint16_t key, bool down);
  /// Bit 0 scroll lock, 1 num lock, 2 caps lock.
  int leds() const { return state.leds; }
  void set_translation(bool on) { state.translate = on; }

  Ps2KeyboardState state;

 private:
  void parameter(uint8_t of_command, uint8_t byte);
  void set_defaults();
  bool set_1_on_the_wire() const { return state.translate != 0 || state.scancode_set == 1; }
};

}  // namespace rhea
