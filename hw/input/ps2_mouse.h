// A PS/2 mouse, with the wheel and five-button protocols.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft "IntelliMouse" ID sequence.
#pragma once

#include "hw/input/ps2.h"

namespace rhea {

struct Ps2MouseState {
  uint8_t status = 0;      ///< kRemote, kReporting, kScale2 below
  uint8_t resolution = 2;  ///< power of two, counts per mm
  uint8_t sample_rate = 100;
  uint8_t wrap = 0;
  uint8_t id = 0;            ///< 0 plain, 3 wheel, 4 wheel and five buttons
  uint8_t detect_state = 0;  ///< how far the guest is in a "magic" sequence of sample rates
  int32_t dx = 0, dy = 0, dz = 0;
  uint8_t buttons = 0;  ///< bit 0 left, 1 right, 2 middle, 3 and 4 side
};

class Ps2Mouse final : public Ps2Device {
 public:
  static const TypeInfo kType;  ///< "ps2-mouse"
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }
  void command(uint8_t byte) override;

  /// The mouse moves by `dx` to the right, `dy` up, its wheel by `dz` towards the user; `buttons` as in the
  /// state. What does not fit the queue adds up until it does.
  void move(int dx, int dy, int dz, uint8_t buttons);

  Ps2MouseState state;

 private:
  static constexpr uint8_t kRemote = 0x40, kReporting = 0x20, kScale2 = 0x10;
  void plain_command(uint8_t byte);
  void parameter(uint8_t of_command, uint8_t byte);
  void rate_set(uint8_t rate);
  void set_defaults();
  bool packet(std::array<uint8_t, 4>& out, size_t& count);
  void send_packets();
};

}  // namespace rhea
