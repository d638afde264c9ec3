// One 8259A interrupt controller of a PC's pair, with the edge/level register that chip sets add.
// Spec: Intel 8259A data sheet (231468-003); Intel 82371SB data sheet, ELCR1/ELCR2.
#pragma once

#include "hw/isa/isa_bus.h"

namespace rhea {

struct I8259State {
  uint8_t last_irr = 0;  ///< input levels seen, for edges
  uint8_t irr = 0, imr = 0, isr = 0;
  uint8_t priority_add = 0;  ///< the input with the highest priority
  uint8_t irq_base = 0;      ///< vector of input 0 (ICW2)
  uint8_t read_reg_select = 0;
  uint8_t poll = 0;
  uint8_t special_mask = 0;
  uint8_t init_state = 0;  ///< which initialisation word comes next; 0: none
  uint8_t auto_eoi = 0;
  uint8_t rotate_on_auto_eoi = 0;
  uint8_t special_fully_nested_mode = 0;
  uint8_t init4 = 0;  ///< ICW4 will come
  uint8_t single_mode = 0;
  uint8_t elcr = 0;  ///< inputs that are level triggered
};
extern const VMState kI8259StateVmState;  ///< of I8259State: section "i8259", version 1

/// Inputs 0..7 by irq_in().
class I8259 final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-i8259"
  static constexpr uint32_t kUnset = UINT32_MAX;
  const TypeInfo& type() const override { return kType; }
  int irq_input_count() const override { return 8; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: the INT output (the processor, or the master's input 2), and for a master its
  /// slave.
  IrqLine output;
  I8259* slave = nullptr;

  /// The processor takes the interrupt (INTA): the vector of the one with the highest priority, of the
  /// spurious one if there is none. Of the master only.
  uint8_t acknowledge();
  /// True while an interrupt is asked for.
  bool asserted() const { return highest_pending() >= 0; }
  /// How often each input was raised since the machine was made.
  const std::array<uint64_t, 8>& request_counts() const { return counts_; }

  // Properties. Ports that are unset are the PC's for a master or slave.
  bool master = false;
  uint32_t iobase = kUnset;
  uint32_t elcr_addr = kUnset;
  uint8_t elcr_mask = 0xff;  ///< inputs that may be made level triggered
  I8259State state;

 protected:
  Result<> do_realize() override;
  void irq_input(int n, int level) override;

 private:
  uint64_t io_read(uint64_t offset, unsigned size);
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t elcr_read(uint64_t, unsigned) { return state.elcr; }
  void elcr_write(uint64_t, uint64_t value, unsigned) {
    state.elcr = static_cast<uint8_t>(value) & elcr_mask;
  }
  void write_icw1(uint8_t value);
  void write_ocw2(uint8_t value);
  void write_ocw3(uint8_t value);
  void write_data(uint8_t value);
  void clear(bool keep_level_requests);
  unsigned priority_of(uint8_t mask) const;
  int highest_pending() const;
  void take(unsigned n);
  uint8_t poll_word();
  void update();

  std::array<uint64_t, 8> counts_{};
  MmioOf<I8259, &I8259::io_read, &I8259::io_write> io_{*this};
  MmioOf<I8259, &I8259::elcr_read, &I8259::elcr_write> elcr_{*this};
};

}  // namespace rhea
