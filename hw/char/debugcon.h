// A port that prints: each byte written appears on a character device; a read tells that it is there.
// Spec: the Bochs and QEMU debug port 0xe9 convention.
#pragma once

#include "chardev/char_frontend.h"
#include "hw/isa/isa_bus.h"

namespace rhea {

class IsaDebugcon final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-debugcon"
  const TypeInfo& type() const override { return kType; }

  uint32_t iobase = 0xe9;
  uint32_t readback = 0xe9;  ///< what a read gives
  std::string chardev_id;    ///< property "chardev"
  CharFrontend chardev;

  CoResult<> co_prepare(DeviceContext& context) override;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t io_read(uint64_t, unsigned) { return readback; }
  void io_write(uint64_t, uint64_t value, unsigned);
  MmioOf<IsaDebugcon, &IsaDebugcon::io_read, &IsaDebugcon::io_write> io_{*this};
};

}  // namespace rhea
