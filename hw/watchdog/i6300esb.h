// The watchdog function of the Intel 6300ESB I/O controller hub: two stages, the second resets.
// Spec: Intel 6300ESB I/O Controller Hub data sheet (300641-004), chapter 16.
#pragma once

#include "hw/pci/pci_device.h"
#include "util/aio_context.h"

namespace rhea {

struct I6300EsbState {
  uint32_t reboot_enabled = 1;  ///< WDT output (config 60h bit 5, inverted)
  uint32_t fast_clock = 0;      ///< prescaler: about 1 us instead of 1 ms (config 60h bit 2)
  uint32_t interrupt_type = 0;  ///< of stage 1 (config 60h bits 1:0)
  uint32_t free_run = 0;        ///< starts over instead of stage 2's end (config 68h bit 2)
  uint32_t locked = 0;          ///< config 68h bit 0: 68h is read-only until reset
  uint32_t enabled = 0;         ///< config 68h bit 1
  int64_t deadline_ns = -1;     ///< only to be saved and loaded
  uint32_t preload1 = 0xfffff, preload2 = 0xfffff;  ///< 20 bits
  uint32_t stage = 1;
  uint32_t unlock = 0;     ///< how many bytes of the unlock sequence have been written
  uint32_t timed_out = 0;  ///< it has fired since the guest cleared this; survives a reset
};

class I6300Esb final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "i6300esb"
  const TypeInfo& type() const override { return kType; }
  PciIds pci_ids() const override;
  CoResult<> co_prepare(DeviceContext& context) override;
  void connect(AioContext& loop, Clock& clock, VmControl* vm) { loop_ = &loop, clock_ = &clock, vm_ = vm; }
  void reset() override;
  uint32_t config_read(unsigned offset, unsigned size) override;
  void config_write(unsigned offset, uint32_t value, unsigned size) override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  I6300EsbState state;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  uint64_t mem_read(uint64_t offset, unsigned size);
  void mem_write(uint64_t offset, uint64_t value, unsigned size);
  bool take_unlock(uint64_t value);
  void lock_written(uint8_t value);
  void write_reload(uint64_t value);
  void start_stage(uint32_t stage);
  void stop();
  void reset_watchdog();
  void fired();
  static const VMState kVmState;
  AioContext* loop_ = nullptr;
  Clock* clock_ = nullptr;
  VmControl* vm_ = nullptr;
  std::unique_ptr<Timer> timer_;
  MmioOf<I6300Esb, &I6300Esb::mem_read, &I6300Esb::mem_write> mem_{*this};
};

}  // namespace rhea
