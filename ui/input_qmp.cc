// QMP commands that act like a user of keyboard and mouse.
#include <algorithm>

#include "qapi/qapi_commands_ui.h"
#include "qapi/qmp_context.h"
#include "qapi/vm_control.h"
#include "ui/console.h"
#include "ui/input.h"
#include "ui/keycodes.h"
#include "util/aio_context.h"

namespace rhea {

namespace {

QKeyCode key_of(const KeyValue& value) {
  if (const auto* number = std::get_if<IntWrapper>(&value.u)) return key_of_number(number->data);
  if (const auto* name = std::get_if<QKeyCodeWrapper>(&value.u)) return name->data;
  return QKeyCode::kUnmapped;
}

InputStroke to_stroke(const InputEvent& event) {
  InputStroke out{.kind = event.type};
  if (const auto* key = std::get_if<InputKeyEventWrapper>(&event.u)) {
    out.key = key_of(key->data.key);
    out.down = key->data.down;
  } else if (const auto* button = std::get_if<InputBtnEventWrapper>(&event.u)) {
    out.button = button->data.button;
    out.down = button->data.down;
  } else if (const auto* move = std::get_if<InputMoveEventWrapper>(&event.u)) {
    const bool place = event.type == InputEventKind::kAbs;
    out.axis = move->data.axis;
    out.value = static_cast<int>(
        std::clamp<int64_t>(move->data.value, place ? 0 : INT16_MIN, place ? kInputAbsoluteMax : INT16_MAX));
  }
  return out;
}

}  // namespace

Result<> qmp_send_key(QmpContext&, SendKeyArgs args) {
  std::vector<QKeyCode> keys;
  keys.reserve(args.keys.size());
  for (const KeyValue& value : args.keys) keys.push_back(key_of(value));
  int64_t hold_ms = args.hold_time.value_or(0);
  if (hold_ms <= 0) hold_ms = kDefaultHoldMs;
  input_hub().send_keys(*AioContext::current(), virtual_clock(), keys,
                        std::min<int64_t>(hold_ms, UINT32_MAX));
  return {};
}

Result<> qmp_input_send_event(QmpContext& ctx, InputSendEventArgs args) {
  const Console* console = nullptr;
  if (args.device) console = TRY(find_console(*args.device, args.head.value_or(0)));
  if (!ctx.vm.running()) return fail(EBUSY, "VM not running");
  InputHub& hub = input_hub();
  for (const InputEvent& event : args.events)
    if (!hub.has_handler(console, input_bit(event.type)))
      return fail(ENODEV, "Input handler not found for event type ", to_string(event.type));
  for (const InputEvent& event : args.events) hub.send(console, to_stroke(event));
  hub.sync();
  return {};
}

Result<std::vector<MouseInfo>> qmp_query_mice(QmpContext&) {
  return input_hub().mice();
}

}  // namespace rhea
