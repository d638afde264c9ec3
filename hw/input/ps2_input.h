// What users do, for the PS/2 keyboard and mouse.
#pragma once

#include "hw/input/ps2_keyboard.h"
#include "hw/input/ps2_mouse.h"
#include "ui/input.h"

namespace rhea {

/// Registered with the input core while it lives; the keyboard outlives it.
class Ps2KeyboardInput final : public InputHandler {
 public:
  explicit Ps2KeyboardInput(Ps2Keyboard& keyboard) : keyboard_(keyboard) {}
  void input_event(const InputStroke& event) override;

 private:
  Ps2Keyboard& keyboard_;
  InputRegistration registration_{{.name = "QEMU PS/2 Keyboard", .accepts = kInputKeys}, *this};
};

class Ps2MouseInput final : public InputHandler {
 public:
  explicit Ps2MouseInput(Ps2Mouse& mouse) : mouse_(mouse) {}
  void input_event(const InputStroke& event) override;
  void input_sync() override;

 private:
  void button(InputButton button, bool down);
  Ps2Mouse& mouse_;
  int dx_ = 0, dy_ = 0, dz_ = 0;
  uint8_t buttons_ = 0;
  InputRegistration registration_{{.name = "QEMU PS/2 Mouse", .accepts = kInputButtons | kInputRelative},
                                  *this};
};

}  // namespace rhea
