// What PS/2 keyboard and mouse share: the queue of bytes on their way to the host.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
#pragma once

#include <array>
#include <functional>

#include "hw/core/device.h"

namespace rhea {

struct Ps2State {
  static constexpr int32_t kNoCommand = -1;
  int32_t write_cmd = kNoCommand;  ///< command that waits for its parameter
  int32_t rptr = 0, wptr = 0, count = 0;
  std::array<uint8_t, 256> data{};
  int32_t cwptr = -1;  ///< end of the reply to a command at the head of the queue; -1: none
};
extern const VMState kPs2StateVmState;

class Ps2Device : public Device {
 public:
  static const TypeInfo kType;  ///< "ps2-device", abstract
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  void reset() override;

  /// A byte for the host came into the empty queue. Wired by the controller.
  std::function<void()> on_data;
  bool has_data() const { return common.count != 0; }
  /// Takes the next byte; 0 if there is none.
  uint8_t take();
  /// A byte from the host.
  virtual void command(uint8_t byte) = 0;

  Ps2State common;

 protected:
  static constexpr int32_t kQueueBytes = 16;  ///< beyond which movements and keys are lost
  static constexpr uint8_t kAck = 0xfa, kResend = 0xfe, kSelfTestPassed = 0xaa;
  /// Room for that many more bytes of keys or movements.
  bool room_for(size_t bytes) const;
  /// Adds bytes that the user caused.
  void enqueue(std::span<const uint8_t> bytes);
  /// Adds an answer, ahead of all that; it takes the place of an earlier one not yet read.
  void reply(std::initializer_list<uint8_t> bytes);
  void clear_queue();
};

}  // namespace rhea
