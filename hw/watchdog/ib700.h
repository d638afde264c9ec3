// The watchdog timer of iBASE IB700 single board computers.
// Spec: IB700 user's manual, "Watchdog Timer Configuration".
#pragma once

#include "hw/isa/isa_bus.h"
#include "util/aio_context.h"

namespace rhea {

class Ib700 final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "ib700"
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// When it fires, in ns of the guest's clock; -1: it does not count. Only to be saved and loaded.
  int64_t deadline_ns = -1;
  void connect(AioContext& loop, Clock& clock, VmControl* vm) { loop_ = &loop, clock_ = &clock, vm_ = vm; }

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t io_read(uint64_t, unsigned) { return 0xff; }
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  void fired();
  static const VMState kVmState;
  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  VmControl* vm_ = nullptr;
  std::unique_ptr<Timer> timer_;
  MmioOf<Ib700, &Ib700::io_read, &Ib700::io_write> io_{*this};
};

}  // namespace rhea
