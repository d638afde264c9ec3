#include "hw/input/vmmouse.h"

#include <algorithm>
#include <utility>

#include "hw/input/i8042.h"
#include "util/log.h"

namespace rhea {

namespace {
// vmmouse_defs.h: numbers of the port's commands, and what EBX says with kVmmouseCommand.
constexpr unsigned kVmmouseData = 39, kVmmouseStatus = 40, kVmmouseCommand = 41;
constexpr uint32_t kVmmouseReadId = 0x4541'4552, kVmmouseDisable = 0xf5, kVmmouseRelative = 0x4c45'5252,
                   kVmmouseAbsolute = 0x5342'4152, kVmmouseVersion = 0x3442'554a;
constexpr uint32_t kVmmouseLeft = 0x20, kVmmouseRight = 0x10, kVmmouseMiddle = 0x08, kMovedBy = 0x1'0000;
constexpr uint32_t kPacketWords = 4;
constexpr X86Gpr kDataRegisters[] = {kRax, kRbx, kRcx, kRdx, kRsi, kRdi};

uint32_t button_bit(InputButton button) {
  switch (button) {
    case InputButton::kLeft:
      return kVmmouseLeft;
    case InputButton::kRight:
      return kVmmouseRight;
    case InputButton::kMiddle:
      return kVmmouseMiddle;
    default:
      return 0;
  }
}
}  // namespace

constexpr TypeInfo Vmmouse::kType{
    .name = "vmmouse", .parent = &IsaDevice::kType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<Vmmouse>();
    }};

Result<> Vmmouse::do_realize() {
  if (port == nullptr || i8042 == nullptr) return fail(EINVAL, "'i8042' link is not set");
  port->set_command(kVmmouseStatus, [this](Registers&) { return get_status(); });
  port->set_command(kVmmouseCommand, [this](Registers& r) { return run_command(r); });
  port->set_command(kVmmouseData, [this](Registers& r) { return read_data(r); });
  return {};
}

void Vmmouse::reset() {
  registration_.reset();
  state = {};
  x_ = y_ = wheel_ = 0;
  buttons_ = 0;
}

void Vmmouse::turn_off() {
  state.status = VmmouseState::kOff;
  registration_.reset();
}

/// Takes the events of the kind that the guest asked for, before the PS/2 mouse does.
void Vmmouse::listen() {
  if (state.status == VmmouseState::kOff) {
    registration_.reset();
    return;
  }
  if (registration_ != nullptr && registered_as_ == state.absolute) return;
  registration_.reset();
  InputHandlerInfo info{.name = "vmmouse",
                        .accepts = kInputButtons | (state.absolute != 0 ? kInputAbsolute : kInputRelative)};
  registration_ = std::make_unique<InputRegistration>(std::move(info), *this);
  registered_as_ = state.absolute;
  x_ = y_ = wheel_ = 0;  // places are no movements
  std::ignore = input_hub().activate(registration_->index());
}

uint32_t Vmmouse::run_command(Registers& r) {
  const auto command = static_cast<uint32_t>(r[kRbx]);
  switch (command) {
    case kVmmouseDisable:
      turn_off();
      break;
    case kVmmouseReadId:
      state.nb_queue = 0;
      state.queue[state.nb_queue++] = kVmmouseVersion;
      state.status = 0;
      break;
    case kVmmouseRelative:
    case kVmmouseAbsolute:
      state.absolute = command == kVmmouseAbsolute;
      listen();
      break;
    default:
      log_guest_error("vmmouse: command ", command, " is not known");
      break;
  }
  return get_status();
}

/// The oldest words, as many as EBX says, which the registers take: a number that makes no sense turns it
/// off.
uint32_t Vmmouse::read_data(Registers& r) {
  const auto words = static_cast<uint32_t>(r[kRbx]);  // guest-controlled
  if (words == 0 || words > std::size(kDataRegisters) || words > state.nb_queue) {
    log_guest_error("vmmouse: ", words, " of ", state.nb_queue, " words are asked for");
    turn_off();
    return static_cast<uint32_t>(r[kRax]);
  }
  for (uint32_t i = 0; i < words; ++i) r[kDataRegisters[i]] = state.queue[i];
  std::copy(state.queue.begin() + words, state.queue.begin() + state.nb_queue, state.queue.begin());
  state.nb_queue = static_cast<uint16_t>(state.nb_queue - words);
  return static_cast<uint32_t>(r[kRax]);
}

void Vmmouse::input_event(const InputStroke& event) {
  if (event.kind == InputEventKind::kBtn) {
    const uint32_t bit = button_bit(event.button);
    buttons_ = event.down ? buttons_ | bit : buttons_ & ~bit;
    if (event.down && event.button == InputButton::kWheelUp) --wheel_;
    if (event.down && event.button == InputButton::kWheelDown) ++wheel_;
    return;
  }
  int& axis = event.axis == InputAxis::kX ? x_ : y_;
  axis = event.kind == InputEventKind::kAbs ? event.value : std::clamp(axis + event.value, -0x7fff, 0x7fff);
}

/// A packet of four words, and an interrupt by way of the PS/2 mouse, which seems to move.
void Vmmouse::input_sync() {
  const bool by = state.absolute == 0;
  const int wheel = std::exchange(wheel_, 0);
  const int x = by ? std::exchange(x_, 0) : x_ * 2, y = by ? std::exchange(y_, 0) : y_ * 2;
  if (state.nb_queue + kPacketWords > state.queue.size()) return;
  for (const uint32_t word : {buttons_ | (by ? kMovedBy : 0), static_cast<uint32_t>(x),
                              static_cast<uint32_t>(y), static_cast<uint32_t>(wheel)})
    state.queue[state.nb_queue++] = word;
  i8042->mouse().move(1, 0, 0, i8042->mouse().state.buttons);
}

Result<> Vmmouse::after_load(void* object, int) {
  auto& mouse = *static_cast<Vmmouse*>(object);
  const VmmouseState& s = mouse.state;
  if (s.queue_size != VmmouseState::kWords || s.nb_queue > s.queue.size())
    return fail(EINVAL, "a queue of ", s.queue_size, " words with ", s.nb_queue, " in it does not fit");
  mouse.listen();
  return {};
}

namespace {
constexpr VMStateField kVmmouseStateFields[] = {
    field<&VmmouseState::queue_size>("queue_size"), field<&VmmouseState::queue>("queue"),
    field<&VmmouseState::nb_queue>("nb_queue"), field<&VmmouseState::status>("status"),
    field<&VmmouseState::absolute>("absolute")};
constexpr VMState kVmmouseState{.name = "vmmouse/state", .version = 0, .fields = kVmmouseStateFields};
constexpr VMStateField kVmmouseFields[] = {struct_field<&Vmmouse::state>("state", kVmmouseState)};
}  // namespace

constexpr VMState Vmmouse::kVmState{
    .name = "vmmouse", .version = 0, .fields = kVmmouseFields, .post_load = Vmmouse::after_load};

const VMState* Vmmouse::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
