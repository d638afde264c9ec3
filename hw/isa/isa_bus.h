// The ISA bus: port space and sixteen interrupt lines.
#pragma once

#include <array>

#include "hw/core/device.h"
#include "memory/memory.h"

namespace rhea {

class IsaBus;
class IsaDma;

/// A device on the ISA bus: fixed or configured ports, an IRQ number.
class IsaDevice : public Device {
 public:
  static const TypeInfo kType;  ///< "isa-device", abstract
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "ISA"; }
  bool hotpluggable() const override { return false; }
  IsaBus& isa_bus() const;

 protected:
  /// Shows `handler` at ports [base, base + count) while the device is realized.
  void add_ports(uint16_t base, uint16_t count, MmioHandler& handler, std::string name,
                 AccessRules rules = {});
  void do_unrealize() override { ports_.clear(); }

 private:
  std::vector<std::unique_ptr<MemoryRegion>> ports_;
};

class IsaBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "ISA"
  const TypeInfo& type() const override { return kType; }
  /// `lines` are the inputs of the interrupt controllers, 0..15.
  IsaBus(std::string name, MemoryRegion& io, std::array<IrqLine, 16> lines)
      : Bus(std::move(name)), io_(io), lines_(lines) {}
  const char* bus_kind() const override { return "ISA"; }
  MemoryRegion& io() const { return io_; }
  /// The DMA controllers of channels 0..3 and 4..7; null: none.
  std::array<IsaDma*, 2> dma{};
  /// Line `n`, 0..15.
  IrqLine irq(unsigned n) const { return lines_[n]; }

 private:
  MemoryRegion& io_;
  std::array<IrqLine, 16> lines_;
};

}  // namespace rhea
