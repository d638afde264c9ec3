// The floppy disk controller on the ISA bus: ports 0x3f0, IRQ 6, DMA channel 2 unless told otherwise.
#pragma once

#include "hw/floppy/fdc.h"
#include "hw/isa/isa_bus.h"

namespace rhea {

class IsaFdc final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "isa-fdc"
  IsaFdc() : fdc(*this) {}
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  CoResult<> co_stop() override;
  /// What co_prepare() finds out.
  void connect(AioContext& loop, Clock& clock) { loop_ = &loop, clock_ = &clock; }
  void reset() override { fdc.hard_reset(); }
  std::string fw_name() const override { return str_cat("fdc@", hex(iobase, 4)); }
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  FloppyBus& floppy_bus() { return *drives_; }

  // Properties.
  uint32_t iobase = 0x3f0;
  uint32_t irq = 6;
  uint32_t dma = 2;                                   ///< channel; UINT32_MAX: none
  FloppyDriveType fdtype_a = FloppyDriveType::kAuto;  ///< of the drives the machine makes
  FloppyDriveType fdtype_b = FloppyDriveType::kAuto;
  FloppyDriveType fallback = FloppyDriveType::k288;
  int32_t bootindex_a = -1, bootindex_b = -1;
  Fdc fdc;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  /// Ports [1, 6) and 7; the others belong to no one or to a disk controller.
  class Ports final : public MmioHandler {
   public:
    Ports(Fdc& fdc, unsigned first) : fdc_(fdc), first_(first) {}
    uint64_t mmio_read(uint64_t offset, unsigned) override {
      return fdc_.read(first_ + static_cast<unsigned>(offset));
    }
    void mmio_write(uint64_t offset, uint64_t value, unsigned) override {
      fdc_.write(first_ + static_cast<unsigned>(offset), static_cast<uint8_t>(value));
    }

   private:
    Fdc& fdc_;
    unsigned first_;
  };
  Ports low_{fdc, 1}, high_{fdc, 7};
  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  std::shared_ptr<FloppyBus> drives_;
};

class TypeRegistry;
void register_floppy_types(TypeRegistry& registry);

}  // namespace rhea
