// Monitor commands that act like a user of keyboard and mouse.
#include <algorithm>

#include "qapi/hmp_registry.h"
#include "ui/input.h"
#include "ui/keycodes.h"
#include "util/aio_context.h"

namespace rhea {

namespace {

int g_buttons = 0;  // as the last mouse_button said

/// "ctrl-alt-delete"; "-" alone is the minus key's sign, and does not stand for it.
Result<> hmp_sendkey(HmpCall& call) {
  std::string_view text = call.str("keys");
  std::vector<QKeyCode> keys;
  for (;;) {
    const size_t dash = text.find('-');
    const std::string_view name = text.substr(0, dash);
    const QKeyCode key = key_of_text(name);
    if (key == QKeyCode::kUnmapped) {
      call.print("invalid parameter: ", name, "\n");
      return {};
    }
    keys.push_back(key);
    if (dash == std::string_view::npos) break;
    text.remove_prefix(dash + 1);
  }
  int64_t hold_ms = call.number("hold-time", 0);
  if (hold_ms <= 0) hold_ms = kDefaultHoldMs;
  input_hub().send_keys(*AioContext::current(), virtual_clock(), keys,
                        std::min<int64_t>(hold_ms, UINT32_MAX));
  return {};
}

/// A number in C's notation, as the arguments of mouse_move are strings; 0 if it is none.
int movement(std::string_view text) {
  const std::string copy(text);
  return static_cast<int>(
      std::clamp(std::strtol(copy.c_str(), nullptr, 0), long{INT16_MIN}, long{INT16_MAX}));
}

Result<> hmp_mouse_move(HmpCall& call) {
  InputHub& hub = input_hub();
  hub.move_by(nullptr, movement(call.str("dx_str")), movement(call.str("dy_str")));
  if (const int dz = movement(call.str("dz_str")); dz != 0) {
    const InputButton wheel = dz > 0 ? InputButton::kWheelUp : InputButton::kWheelDown;
    hub.button(nullptr, wheel, true);
    hub.sync();
    hub.button(nullptr, wheel, false);
  }
  hub.sync();
  return {};
}

Result<> hmp_mouse_button(HmpCall& call) {
  struct Bit {
    int mask;
    InputButton button;
  };
  constexpr Bit kBits[] = {{1, InputButton::kLeft}, {2, InputButton::kRight}, {4, InputButton::kMiddle}};
  const int now = static_cast<int>(call.number("button_state"));
  for (const Bit& bit : kBits)
    if (((now ^ g_buttons) & bit.mask) != 0) input_hub().button(nullptr, bit.button, (now & bit.mask) != 0);
  g_buttons = now;
  input_hub().sync();
  return {};
}

Result<> hmp_mouse_set(HmpCall& call) {
  const int64_t index = call.number("index");
  for (const MouseInfo& mouse : input_hub().mice())
    if (mouse.index == index) return input_hub().activate(static_cast<int>(index));
  return fail(ENODEV, "Mouse at index '", index, "' not found");
}

Result<> info_mice(HmpCall& call) {
  const std::vector<MouseInfo> mice = input_hub().mice();
  if (mice.empty()) call.print("No mouse devices connected\n");
  for (const MouseInfo& m : mice)
    call.print(m.current ? "*" : " ", " Mouse #", m.index, ": ", m.name, m.absolute ? " (absolute)" : "",
               "\n");
  return {};
}

constexpr HmpCommand kCommands[] = {
    {"sendkey", "keys:s,hold-time:i?", "keys [hold_ms]",
     "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time: 10 ms)", hmp_sendkey},
    {"mouse_move", "dx_str:s,dy_str:s,dz_str:s?", "dx dy [dz]", "send mouse move events", hmp_mouse_move},
    {"mouse_button", "button_state:i", "state", "change mouse button state (1=L, 2=R, 4=M)",
     hmp_mouse_button},
    {"mouse_set", "index:i", "index", "set which mouse device receives events", hmp_mouse_set},
    {"info mice", "", "", "show which guest mouse is receiving events", info_mice},
};

}  // namespace

void hmp_register_input(HmpRegistry& registry) {
  for (const HmpCommand& command : kCommands) registry.add(command);
}

}  // namespace rhea
