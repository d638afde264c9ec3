// Port 0x61: gate and output of the timer's channel 2, and the speaker's switch. No sound comes out.
// Spec: IBM PC AT Technical Reference, "System Timers" and "Speaker"; Intel 82371SB, NMI Status and Control.
#pragma once

#include "hw/timer/i8254.h"

namespace rhea {

struct PcspkState {
  uint8_t data_on = 0;
  uint8_t dummy_refresh_clock = 0;  ///< the memory refresh toggle, which guests wait for
};

class Pcspk final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-pcspk"
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize.
  PitCommon* pit = nullptr;

  uint32_t iobase = 0x61;  ///< property
  bool migrate = true;     ///< property: whether its state is sent
  PcspkState state;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned size);
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  MmioOf<Pcspk, &Pcspk::io_read, &Pcspk::io_write> io_{*this};
};

}  // namespace rhea
