// A port that ends the process: a test guest's way to give a verdict. Writing v exits with (v << 1) | 1.
#pragma once

#include <functional>

#include "hw/isa/isa_bus.h"

namespace rhea {

class IsaDebugExit final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-debug-exit"
  const TypeInfo& type() const override { return kType; }

  uint32_t iobase = 0x501;
  uint32_t iosize = 2;  ///< 1, 2 or 4 ports
  /// What ends the process with the given exit status; wired by whoever may do that. Without it for any
  /// device, see default_on_exit.
  std::function<void(int code)> on_exit;
  /// Copied by devices made without wiring, such as those of -device. Set at start-up.
  static std::function<void(int code)> default_on_exit;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t, unsigned) { return 0; }
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  MmioOf<IsaDebugExit, &IsaDebugExit::io_read, &IsaDebugExit::io_write> io_{*this};
};

}  // namespace rhea
