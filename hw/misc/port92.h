// System control port A at 0x92: A20 and fast reset.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "System Control Port A".
#pragma once

#include <functional>

#include "hw/isa/isa_bus.h"

namespace rhea {

struct Port92State {
  uint8_t outport = 0;
};

class Port92 final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "port92"
  const TypeInfo& type() const override { return kType; }
  void reset() override { state = {}; }
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: what address line 20's gate (true: open) and a reset request do.
  std::function<void(bool)> on_a20;
  std::function<void()> on_reset_request;
  Port92State state;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t, unsigned) { return state.outport; }
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  MmioOf<Port92, &Port92::io_read, &Port92::io_write> io_{*this};
};

}  // namespace rhea
