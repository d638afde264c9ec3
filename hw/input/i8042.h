// The PC's keyboard controller with its keyboard and mouse.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
#pragma once

#include <functional>

#include "hw/input/ps2_input.h"
#include "hw/input/ps2_keyboard.h"
#include "hw/input/ps2_mouse.h"
#include "hw/isa/isa_bus.h"

namespace rhea {

struct I8042State {
  uint8_t write_cmd = 0;    ///< command whose parameter comes next at port 0x60; 0: none
  uint8_t status = 0x18;    ///< port 0x64
  uint8_t mode = 0x03;      ///< the command byte
  uint8_t pending_tmp = 0;  ///< what waits behind the output buffer, in an older description's bits
  uint8_t outport = 0xc3;
  uint32_t migration_flags = 0;
  uint32_t obsrc = 0;   ///< who filled the output buffer: bit 0 keyboard, 1 mouse, 2 controller
  uint8_t obdata = 0;   ///< the output buffer
  uint8_t cbdata = 0;   ///< controller byte that waits for the buffer
  uint8_t pending = 0;  ///< kCtrlKbd or kCtrlAux if `cbdata` waits
};

class I8042 final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "i8042"
  I8042();
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: what address line 20's gate (true: open) and a reset request do.
  std::function<void(bool)> on_a20;
  std::function<void()> on_reset_request;

  Ps2Keyboard& keyboard() { return *keyboard_; }
  Ps2Mouse& mouse() { return *mouse_; }

  // Properties.
  bool extended_state = true;  ///< the state names who filled the output buffer
  uint8_t kbd_irq = 1;
  uint8_t mouse_irq = 12;
  I8042State state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  static constexpr uint8_t kCtrlKbd = 0x04, kCtrlAux = 0x08;

  uint64_t data_read(uint64_t offset, unsigned size);
  void data_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t status_read(uint64_t, unsigned) { return state.status; }
  void command_write(uint64_t offset, uint64_t value, unsigned size);

  void parameter(uint8_t of_command, uint8_t value);
  void answer(uint8_t byte, bool as_mouse = false);
  void refill();
  void fill(uint8_t byte, uint32_t source);
  void update_irqs();
  void write_outport(uint8_t value);
  void request_reset();

  static void before_save(void* object);
  static Result<> after_load(void* object, int version);
  static const VMState kVmState;

  std::shared_ptr<Ps2Keyboard> keyboard_;
  std::shared_ptr<Ps2Mouse> mouse_;
  std::unique_ptr<Ps2KeyboardInput> keyboard_input_;
  std::unique_ptr<Ps2MouseInput> mouse_input_;
  IrqLine kbd_line_, mouse_line_;
  int kbd_level_ = 0, mouse_level_ = 0;
  MmioOf<I8042, &I8042::data_read, &I8042::data_write> data_{*this};
  MmioOf<I8042, &I8042::status_read, &I8042::command_write> command_{*this};
};

}  // namespace rhea
