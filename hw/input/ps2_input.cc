#include "hw/input/ps2_input.h"

#include <algorithm>
#include <utility>

#include "ui/keycodes.h"

namespace rhea {

namespace {
constexpr uint8_t kPrefixed = 0x80;  // of a key number: the make code has the prefix 0xe0
constexpr int kMaxCounts = 1 << 16;  // in one movement
}  // namespace

void Ps2KeyboardInput::input_event(const InputStroke& event) {
  if (event.key == QKeyCode::kPause) {
    keyboard_.key_event(Ps2Keyboard::kPause, event.down);
    return;
  }
  const uint8_t number = key_number(event.key);
  if (number == 0) return;
  const auto make = static_cast<uint16_t>(number & ~kPrefixed);
  keyboard_.key_event((number & kPrefixed) != 0 ? static_cast<uint16_t>(0xe000 | make) : make, event.down);
}

void Ps2MouseInput::button(InputButton button, bool down) {
  uint8_t bit = 0;
  switch (button) {
    case InputButton::kLeft:
      bit = 0x01;
      break;
    case InputButton::kRight:
      bit = 0x02;
      break;
    case InputButton::kMiddle:
      bit = 0x04;
      break;
    case InputButton::kSide:
      bit = 0x08;
      break;
    case InputButton::kExtra:
      bit = 0x10;
      break;
    case InputButton::kWheelUp:
    case InputButton::kWheelDown:
      if (down) dz_ = std::clamp(dz_ + (button == InputButton::kWheelUp ? -1 : 1), -kMaxCounts, kMaxCounts);
      return;
    default:
      return;  // a PS/2 wheel does not tilt
  }
  buttons_ = static_cast<uint8_t>(down ? buttons_ | bit : buttons_ & ~bit);
}

void Ps2MouseInput::input_event(const InputStroke& event) {
  if (event.kind == InputEventKind::kBtn)
    button(event.button, event.down);
  else if (event.axis == InputAxis::kX)
    dx_ = std::clamp(dx_ + event.value, -kMaxCounts, kMaxCounts);
  else
    dy_ = std::clamp(dy_ - event.value, -kMaxCounts, kMaxCounts);  // up is positive here
}

void Ps2MouseInput::input_sync() {
  const int dx = std::exchange(dx_, 0), dy = std::exchange(dy_, 0), dz = std::exchange(dz_, 0);
  mouse_.move(dx, dy, dz, buttons_);
}

}  // namespace rhea
