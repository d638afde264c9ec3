// A serial port of a PC: a 16550A at fixed ports with an ISA interrupt.
// Spec: PC16550D data sheet; IBM PC AT Technical Reference, "Serial/Parallel Adapter" (COM1, COM2).
#pragma once

#include "hw/char/uart16550.h"
#include "hw/isa/isa_bus.h"

namespace rhea {

class IsaSerial final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-serial"
  static constexpr uint32_t kUnset = UINT32_MAX;
  static constexpr uint32_t kMaxPorts = 4;
  const TypeInfo& type() const override { return kType; }

  CoResult<> co_prepare(DeviceContext& context) override;
  /// What co_prepare() finds out: where timers run, and the guest's time.
  void connect(AioContext& loop, Clock& clock) { loop_ = &loop, clock_ = &clock; }
  void reset() override { uart.reset(); }
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  // Properties. What is unset follows from `index`, and that from how many ports there are already.
  uint32_t index = kUnset;
  uint32_t iobase = kUnset;
  uint32_t irq = kUnset;
  std::string chardev_id;  ///< property "chardev"
  uint32_t baudbase = 115200;
  Uart16550 uart;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned) { return uart.read(static_cast<unsigned>(offset)); }
  void io_write(uint64_t offset, uint64_t value, unsigned) {
    uart.write(static_cast<unsigned>(offset), static_cast<uint8_t>(value));
  }
  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  IrqLine line_;
  MmioOf<IsaSerial, &IsaSerial::io_read, &IsaSerial::io_write> io_{*this};
};

}  // namespace rhea
