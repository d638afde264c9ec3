// Where a board's interrupt lines end without controllers in the kernel: lines 0-15 reach the PIC and the I/O
// APIC, the others the I/O APIC alone. Line 0 is the I/O APIC's input 2 (MADT override).
#pragma once

#include "accel/irqchip.h"
#include "hw/core/device.h"

namespace rhea {

class GsiRouter final : public IrqSink {
 public:
  explicit GsiRouter(Device& ioapic) : ioapic_(ioapic) {}
  void set_pics(Device& master, Device& slave) { master_ = &master, slave_ = &slave; }
  void set_irq(int n, int level) override {
    if (n < 16 && n != kCascade && master_ != nullptr) (n < 8 ? master_ : slave_)->set_irq(n & 7, level);
    ioapic_.set_irq(n == 0 ? 2 : n, level);
  }

 private:
  static constexpr int kCascade = 2;  // no input of the PIC
  Device& ioapic_;
  Device *master_ = nullptr, *slave_ = nullptr;
};

/// The PIC's INT output, where the processor's local APIC is the kernel's.
class PicOutput final : public IrqSink {
 public:
  explicit PicOutput(SplitIrqchip& split) : split_(split) {}
  void set_irq(int, int level) override { split_.set_pic_output(level); }

 private:
  SplitIrqchip& split_;
};

}  // namespace rhea
