// The 8254 interval timer of a PC, in user space: for accelerators without one in the kernel.
// Spec: Intel 82C54 data sheet (231244-006).
#pragma once

#include "hw/isa/isa_bus.h"
#include "hw/timer/pit_channel.h"
#include "util/aio_context.h"

namespace rhea {

/// What the speaker needs of a timer.
class PitCommon : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "pit-common", abstract
  const TypeInfo& type() const override { return kType; }
  virtual bool channel_gate(unsigned channel) const = 0;
  virtual bool channel_output(unsigned channel) const = 0;
  virtual void set_channel_gate(unsigned channel, bool on) = 0;
};

class I8254 final : public PitCommon {
 public:
  static const TypeInfo kType;  ///< "isa-pit"
  static constexpr uint32_t kUnset = UINT32_MAX;
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  /// What co_prepare() finds out.
  void connect(AioContext& loop, Clock& clock) { loop_ = &loop, clock_ = &clock; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  bool channel_gate(unsigned channel) const override { return channels[channel].state.gate != 0; }
  bool channel_output(unsigned channel) const override { return channels[channel].output(clock_->now_ns()); }
  void set_channel_gate(unsigned channel, bool on) override;

  /// Wiring, before realize: what channel 0 drives; unset: ISA interrupt 0.
  IrqLine irq_line;
  uint32_t iobase = kUnset;  ///< property; unset: 0x40
  std::array<PitChannel, 3> channels;
  uint32_t irq_disabled = 0;  ///< something else (HPET) drives interrupt 0

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned size);
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  void read_back(uint8_t command, int64_t now_ns);
  void changed(unsigned channel, int64_t now_ns);
  void drive(int64_t at_ns);
  void struck();

  static void before_save(void* object);
  static Result<> after_load(void* object, int version);
  static const VMState kVmState;

  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  std::unique_ptr<Timer> timer_;
  MmioOf<I8254, &I8254::io_read, &I8254::io_write> io_{*this};
};

}  // namespace rhea
