// The port by which a guest tells of its panic, on ISA and as a PCI function.
// Spec: QEMU's documentation, docs/specs/pvpanic ("PVPANIC DEVICE").
#pragma once

#include "hw/isa/isa_bus.h"
#include "hw/pci/pci_device.h"

namespace rhea {

/// What both kinds do: a byte that reads as the events known here, and reports those written.
class PvpanicPort {
 public:
  static constexpr uint8_t kPanicked = 1, kCrashLoaded = 2;
  /// Whom events go to; unset: nobody.
  VmControl* vm = nullptr;
  void write(uint8_t events) const;
};

class IsaPvpanic final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "pvpanic"
  const TypeInfo& type() const override { return kType; }
  CoResult<> co_prepare(DeviceContext& context) override;

  uint16_t ioport = 0x505;
  uint8_t events = PvpanicPort::kPanicked | PvpanicPort::kCrashLoaded;  ///< those the guest is told of
  PvpanicPort port;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t, unsigned) { return events; }
  void io_write(uint64_t, uint64_t value, unsigned) { port.write(static_cast<uint8_t>(value)); }
  MmioOf<IsaPvpanic, &IsaPvpanic::io_read, &IsaPvpanic::io_write> io_{*this};
};

class PciPvpanic final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "pvpanic-pci"
  const TypeInfo& type() const override { return kType; }
  PciIds pci_ids() const override;
  CoResult<> co_prepare(DeviceContext& context) override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  uint8_t events = PvpanicPort::kPanicked | PvpanicPort::kCrashLoaded;
  PvpanicPort port;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned size);
  void io_write(uint64_t offset, uint64_t value, unsigned size);
  MmioOf<PciPvpanic, &PciPvpanic::io_read, &PciPvpanic::io_write> io_{*this};
};

}  // namespace rhea
