#include "hw/input/i8042.h"

#include <utility>

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint8_t kOutputFull = 0x01, kSystemFlag = 0x04, kLastWasCommand = 0x08, kUnlocked = 0x10,
                  kMouseOutput = 0x20;
constexpr uint8_t kKbdInterrupt = 0x01, kMouseInterrupt = 0x02, kModeSystem = 0x04, kKbdOff = 0x10,
                  kMouseOff = 0x20, kTranslate = 0x40;
constexpr uint8_t kOutNoReset = 0x01, kOutA20 = 0x02, kOutKbdFull = 0x10, kOutMouseFull = 0x20,
                  kOutIrqs = kOutKbdFull | kOutMouseFull, kOutPowerOn = 0xc3;
constexpr uint32_t kFromKbd = 1, kFromMouse = 2, kFromController = 4;

// Commands at port 0x64.
constexpr uint8_t kReadMode = 0x20, kWriteMode = 0x60, kMouseDisable = 0xa7, kMouseEnable = 0xa8,
                  kMouseTest = 0xa9, kSelfTest = 0xaa, kKbdTest = 0xab, kKbdDisable = 0xad, kKbdEnable = 0xae,
                  kReadInput = 0xc0, kReadOutput = 0xd0, kWriteOutput = 0xd1, kWriteKbdBuffer = 0xd2,
                  kWriteMouseBuffer = 0xd3, kWriteMouse = 0xd4, kA20Off = 0xdd, kA20On = 0xdf, kPulse = 0xf0;

constexpr PropertyInfo kProperties[] = {prop<&I8042::kbd_irq>("kbd-irq"),
                                        prop<&I8042::mouse_irq>("mouse-irq"),
                                        prop<&I8042::extended_state>("extended-state")};

void set_bit(uint8_t& byte, uint8_t bit, bool on) {
  byte = static_cast<uint8_t>(on ? byte | bit : byte & ~bit);
}

}  // namespace

constexpr TypeInfo I8042::kType{
    .name = "i8042",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<I8042>(); },
    .properties = kProperties,
    .description = "keyboard controller"};

I8042::I8042() : keyboard_(std::make_shared<Ps2Keyboard>()), mouse_(std::make_shared<Ps2Mouse>()) {
  add_child("ps2kbd", keyboard_);
  add_child("ps2mouse", mouse_);
  keyboard_->on_data = [this] { refill(); };
  mouse_->on_data = [this] { refill(); };
}

Result<> I8042::do_realize() {
  if (kbd_irq > 15 || mouse_irq > 15)
    return fail(EINVAL, "i8042: there is no ISA interrupt ", int(std::max(kbd_irq, mouse_irq)));
  TRY(keyboard_->realize());
  TRY(mouse_->realize());
  kbd_line_ = isa_bus().irq(kbd_irq);
  mouse_line_ = isa_bus().irq(mouse_irq);
  add_irq_output(kbd_line_);
  add_irq_output(mouse_line_);
  add_ports(0x60, 1, data_, "i8042-data", {.impl_max = 1});
  add_ports(0x64, 1, command_, "i8042-cmd", {.impl_max = 1});
  reset();
  keyboard_input_ = std::make_unique<Ps2KeyboardInput>(*keyboard_);
  mouse_input_ = std::make_unique<Ps2MouseInput>(*mouse_);
  return {};
}

void I8042::do_unrealize() {
  mouse_input_.reset();
  keyboard_input_.reset();
  IsaDevice::do_unrealize();
  keyboard_->unrealize();
  mouse_->unrealize();
}

void I8042::reset() {
  state = {};
  keyboard_->set_translation(false);
  kbd_line_.set(kbd_level_ = 0);
  mouse_line_.set(mouse_level_ = 0);
}

// --- output buffer

void I8042::fill(uint8_t byte, uint32_t source) {
  state.obdata = byte;
  state.obsrc = source;
  const bool mouse = source == kFromMouse || source == (kFromController | kFromMouse);
  state.status |= kOutputFull;
  set_bit(state.status, kMouseOutput, mouse);
  state.outport |= mouse ? kOutMouseFull : kOutKbdFull;
  update_irqs();
}

void I8042::refill() {
  if ((state.status & kOutputFull) != 0) return;
  if (state.pending != 0) {
    const bool mouse = std::exchange(state.pending, 0) == kCtrlAux;
    fill(state.cbdata, mouse ? kFromController | kFromMouse : kFromController);
  } else if ((state.mode & kKbdOff) == 0 && keyboard_->has_data()) {
    fill(keyboard_->take(), kFromKbd);
  } else if ((state.mode & kMouseOff) == 0 && mouse_->has_data()) {
    fill(mouse_->take(), kFromMouse);
  }
}

void I8042::answer(uint8_t byte, bool as_mouse) {
  state.cbdata = byte;
  state.pending = as_mouse ? kCtrlAux : kCtrlKbd;
  refill();
}

void I8042::update_irqs() {
  const bool full = (state.status & kOutputFull) != 0;
  const bool mouse = (state.status & kMouseOutput) != 0;
  const int kbd_level = full && !mouse && (state.mode & kKbdInterrupt) != 0 ? 1 : 0;
  const int mouse_level = full && mouse && (state.mode & kMouseInterrupt) != 0 ? 1 : 0;
  if (std::exchange(kbd_level_, kbd_level) != kbd_level) kbd_line_.set(kbd_level);
  if (std::exchange(mouse_level_, mouse_level) != mouse_level) mouse_line_.set(mouse_level);
}

uint64_t I8042::data_read(uint64_t, unsigned) {
  if ((state.status & kOutputFull) != 0) {
    state.status &= static_cast<uint8_t>(~(kOutputFull | kMouseOutput));
    state.outport &= static_cast<uint8_t>(~kOutIrqs);
    update_irqs();  // an edge for each byte
    const uint8_t byte = state.obdata;
    refill();
    return byte;
  }
  return state.obdata;
}

// --- commands

void I8042::command_write(uint64_t, uint64_t value, unsigned) {
  const auto command = static_cast<uint8_t>(value);
  state.status |= kLastWasCommand;
  state.write_cmd = 0;
  if (command >= kPulse) {
    if ((command & kOutNoReset) == 0) request_reset();  // pulses the lines whose bits are zero
    return;
  }
  switch (command) {
    case kReadMode:
      answer(state.mode);
      break;
    case kWriteMode:
    case kWriteOutput:
    case kWriteKbdBuffer:
    case kWriteMouseBuffer:
    case kWriteMouse:
      state.write_cmd = command;
      break;
    case kMouseDisable:
      state.mode |= kMouseOff;
      break;
    case kMouseEnable:
      state.mode &= static_cast<uint8_t>(~kMouseOff);
      refill();
      break;
    case kMouseTest:
      answer(0x00);
      break;
    case kSelfTest:
      state.status |= kSystemFlag;
      answer(0x55);
      break;
    case kKbdTest:
      answer(0x00);
      break;
    case kKbdDisable:
      state.mode |= kKbdOff;
      break;
    case kKbdEnable:
      state.mode &= static_cast<uint8_t>(~kKbdOff);
      refill();
      break;
    case kReadInput:
      answer(0x80);
      break;
    case kReadOutput:
      answer(state.outport);
      break;
    case kA20Off:
      write_outport(static_cast<uint8_t>(state.outport & ~kOutA20));
      break;
    case kA20On:
      write_outport(state.outport | kOutA20);
      break;
    default:
      log_guest_error("i8042: command ", int(command), " is not known");
      break;
  }
}

void I8042::data_write(uint64_t, uint64_t value, unsigned) {
  state.status &= static_cast<uint8_t>(~kLastWasCommand);
  const uint8_t waiting = std::exchange(state.write_cmd, 0);
  if (waiting != 0) {
    parameter(waiting, static_cast<uint8_t>(value));
    return;
  }
  // A byte for the keyboard turns its clock on.
  state.mode &= static_cast<uint8_t>(~kKbdOff);
  keyboard_->command(static_cast<uint8_t>(value));
  refill();
}

void I8042::parameter(uint8_t of_command, uint8_t value) {
  switch (of_command) {
    case kWriteMode:
      state.mode = value;
      set_bit(state.status, kSystemFlag, (value & kModeSystem) != 0);
      keyboard_->set_translation((value & kTranslate) != 0);
      update_irqs();
      refill();
      break;
    case kWriteOutput:
      write_outport(value);
      break;
    case kWriteKbdBuffer:
      answer(value);
      break;
    case kWriteMouseBuffer:
      answer(value, true);
      break;
    case kWriteMouse:
      state.mode &= static_cast<uint8_t>(~kMouseOff);
      mouse_->command(value);
      refill();
      break;
    default:
      break;
  }
}

void I8042::write_outport(uint8_t value) {
  state.outport = static_cast<uint8_t>((value & ~kOutIrqs) | (state.outport & kOutIrqs));
  if (on_a20) on_a20((value & kOutA20) != 0);
  if ((value & kOutNoReset) == 0) request_reset();
}

void I8042::request_reset() {
  if (on_reset_request) on_reset_request();
}

// --- saved state

namespace {
const I8042& i8042_cast(const void* o) {
  return *static_cast<const I8042*>(o);
}
template <auto Member>
constexpr VMStateField state_field(const char* name) {
  return {.name = name,
          .save = [](const void* o, StateWriter& out,
                     const VMStateField&) { detail::vm_save_value(i8042_cast(o).state.*Member, out); },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(static_cast<I8042*>(o)->state.*Member, in);
            return {};
          }};
}
// Bits of pending_tmp.
constexpr uint8_t kPendingKbdOld = 0x01, kPendingMouseOld = 0x02, kPendingKbd = 0x10, kPendingMouse = 0x20;

constexpr VMStateField kOutportFields[] = {state_field<&I8042State::outport>("outport")};
constexpr VMState kOutport{.name = "pckbd_outport", .fields = kOutportFields, .needed = [](const void* o) {
                             const I8042State& s = i8042_cast(o).state;
                             return (s.outport & ~kOutIrqs) != kOutPowerOn;
                           }};
constexpr VMStateField kExtendedFields[] = {
    state_field<&I8042State::migration_flags>("migration_flags"), state_field<&I8042State::obsrc>("obsrc"),
    state_field<&I8042State::obdata>("obdata"), state_field<&I8042State::cbdata>("cbdata")};
constexpr VMState kExtended{
    .name = "pckbd/extended_state", .version = 0, .fields = kExtendedFields, .needed = [](const void* o) {
      return i8042_cast(o).extended_state;
    }};
constexpr const VMState* kI8042Subsections[] = {&kOutport, &kExtended};
constexpr VMStateField kI8042Fields[] = {
    state_field<&I8042State::write_cmd>("write_cmd"), state_field<&I8042State::status>("status"),
    state_field<&I8042State::mode>("mode"), state_field<&I8042State::pending_tmp>("pending_tmp")};
}  // namespace

constexpr VMState I8042::kVmState{.name = "pckbd",
                                  .version = 3,
                                  .minimum_version = 3,
                                  .fields = kI8042Fields,
                                  .subsections = kI8042Subsections,
                                  .pre_save = before_save,
                                  .pre_load = [](void* o) -> Result<> {
                                    static_cast<I8042*>(o)->state = {};
                                    return {};
                                  },
                                  .post_load = after_load};

void I8042::before_save(void* object) {
  auto& kbc = *static_cast<I8042*>(object);
  I8042State& s = kbc.state;
  s.migration_flags = 0;
  s.pending_tmp = s.pending;
  if (kbc.keyboard_->has_data()) s.pending_tmp |= kPendingKbd;
  if (kbc.mouse_->has_data()) s.pending_tmp |= kPendingMouse;
  if (!kbc.extended_state && (s.status & kOutputFull) != 0)
    s.pending_tmp |= (s.status & kMouseOutput) != 0 ? kPendingMouseOld : kPendingKbdOld;
}

Result<> I8042::after_load(void* object, int) {
  auto& kbc = *static_cast<I8042*>(object);
  I8042State& s = kbc.state;
  s.pending = s.pending_tmp & (kCtrlKbd | kCtrlAux);
  s.obsrc &= kFromKbd | kFromMouse | kFromController;
  const bool full = (s.status & kOutputFull) != 0, mouse = (s.status & kMouseOutput) != 0;
  s.outport &= static_cast<uint8_t>(~kOutIrqs);
  if (full) s.outport |= mouse ? kOutMouseFull : kOutKbdFull;
  // Both lines are driven, whatever they were.
  const bool interrupts = full && (s.mode & (mouse ? kMouseInterrupt : kKbdInterrupt)) != 0;
  kbc.kbd_line_.set(kbc.kbd_level_ = interrupts && !mouse ? 1 : 0);
  kbc.mouse_line_.set(kbc.mouse_level_ = interrupts && mouse ? 1 : 0);
  if (kbc.on_a20) kbc.on_a20((s.outport & kOutA20) != 0);
  return {};
}

const VMState* I8042::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
