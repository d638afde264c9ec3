// VMware's pointer device: places and movements in a queue that the guest empties through Vmport. The PS/2
// mouse gives the interrupt. Spec: open-vm-tools, lib/include/vmmouse_defs.h.
#pragma once

#include <array>
#include <memory>

#include "hw/input/vmport.h"
#include "ui/input.h"

namespace rhea {

class I8042;

struct VmmouseState {
  static constexpr int32_t kWords = 1024;
  static constexpr uint16_t kOff = 0xffff;  ///< of `status`
  int32_t queue_size = kWords;
  std::array<uint32_t, kWords> queue{};
  uint16_t nb_queue = 0;  ///< words in the queue
  uint16_t status = kOff;
  uint8_t absolute = 0;
};

class Vmmouse final : public IsaDevice, public InputHandler {
 public:
  static const TypeInfo kType;  ///< "vmmouse"
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  void input_event(const InputStroke& event) override;
  void input_sync() override;

  /// Wiring, before realize.
  Vmport* port = nullptr;
  I8042* i8042 = nullptr;
  VmmouseState state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override { registration_.reset(); }

 private:
  using Registers = Vmport::Registers;
  uint32_t get_status() const { return uint32_t{state.status} << 16 | state.nb_queue; }
  uint32_t run_command(Registers& r);
  uint32_t read_data(Registers& r);
  void turn_off();
  void listen();
  static Result<> after_load(void* object, int version);
  static const VMState kVmState;

  std::unique_ptr<InputRegistration> registration_;
  uint8_t registered_as_ = 0;  ///< `absolute` of the registration
  int x_ = 0, y_ = 0, wheel_ = 0;
  uint32_t buttons_ = 0;
};

}  // namespace rhea
