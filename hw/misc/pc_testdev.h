// Ports and memory for test programs: storage of each width, interrupt lines by port.
// Spec: what kvm-unit-tests' x86 programs expect of "pc-testdev".
#pragma once

#include "hw/isa/isa_bus.h"

namespace rhea {

class PcTestdev final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "pc-testdev"
  const TypeInfo& type() const override { return kType; }
  const VMState* vmstate() const override;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t port_read(uint64_t offset, unsigned size);
  void port_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t byte_read(uint64_t offset, unsigned size) { return port_read(offset, size); }
  void byte_write(uint64_t offset, uint64_t value, unsigned size) { port_write(offset, value, size); }
  uint64_t no_read(uint64_t, unsigned) { return UINT64_MAX; }
  void flush_page(uint64_t offset, uint64_t address, unsigned size);
  void set_line(uint64_t line, uint64_t level, unsigned size);
  uint64_t memory_read(uint64_t offset, unsigned size);
  void memory_write(uint64_t offset, uint64_t value, unsigned size);

  std::array<uint8_t, 4> port_{};
  std::array<uint8_t, 0x10000> memory_{};
  MmioOf<PcTestdev, &PcTestdev::port_read, &PcTestdev::port_write> port_io_{*this};
  MmioOf<PcTestdev, &PcTestdev::byte_read, &PcTestdev::byte_write> byte_io_{*this};
  MmioOf<PcTestdev, &PcTestdev::no_read, &PcTestdev::flush_page> flush_io_{*this};
  MmioOf<PcTestdev, &PcTestdev::no_read, &PcTestdev::set_line> line_io_{*this};
  MmioOf<PcTestdev, &PcTestdev::memory_read, &PcTestdev::memory_write> memory_io_{*this};
  std::unique_ptr<MemoryRegion> memory_region_;
};

}  // namespace rhea
