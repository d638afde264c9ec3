// PIIX4 power management (82371AB, function 3): where the PM registers sit, APM control, GPE block, power
// button. Spec: Intel 82371AB (PIIX4) data sheet (290562-001), chapter 7.
#pragma once

#include "hw/acpi/cpu_hotplug.h"
#include "hw/acpi/memory_hotplug.h"
#include "hw/acpi/pci_hotplug.h"
#include "hw/acpi/pm1.h"
#include "hw/i2c/smbus_host.h"
#include "hw/pci/pci_device.h"
#include "qapi/vm_control.h"

namespace rhea {

class Piix4Pm final : public PciDevice {
 public:
  static const TypeInfo kType;  ///< "PIIX4_PM"
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  PciIds pci_ids() const override;

  /// Wiring, before realize.
  AioContext* loop = nullptr;
  Clock* clock = nullptr;
  IrqLine sci;
  unsigned serial_ports = 1;              ///< COM ports on the board; the first two show in DEVRESC
  std::function<void()> on_soft_off;      ///< the guest powered itself off (S5)
  std::function<void()> on_suspend;       ///< S3
  std::function<void()> on_suspend_disk;  ///< S4
  /// Something has happened that wakes a sleeping guest.
  std::function<void(WakeupReason)> on_wake_event;
  /// Of a function on a bus with hotplug: the guest has been told that it is to go, and has let go of it.
  std::function<void(PciDevice&)> on_unplug_told, on_eject;
  /// The same after a load, for each function that is to go.
  std::function<void(PciDevice&)> on_unplug_asked;

  AcpiFixedHardware& acpi() { return *acpi_; }
  I2cBus& smbus() { return *smbus_; }  ///< "i2c", since realize
  SmbusHost& smbus_host() { return *smbus_host_; }
  void reset() override;
  void reset_exit() override;
  const VMState* vmstate() const override;

  // Properties.
  uint8_t disable_s3 = 0;
  uint8_t disable_s4 = 0;
  uint8_t s4_val = 2;  ///< SLP_TYP that means S4
  uint32_t smb_io_base = 0;
  bool hotplug_behind_bridges = true;
  bool hotplug_on_root = true;
  bool not_migrate_acpi_index = false;

  /// Processors that come and go; the board makes it after this device. Null where it has none.
  std::unique_ptr<CpuHotplug> cpu_hotplug;
  /// Memory modules likewise.
  std::unique_ptr<MemoryHotplug> memory_hotplug;
  /// PCI functions that come and go; null if both properties are off. Since realize.
  std::unique_ptr<AcpiPciHotplug> pci_hotplug;

  uint8_t apm_control = 0;  ///< APMC, port 0xb2
  uint8_t apm_status = 0;   ///< APMS, port 0xb3

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void config_changed(unsigned offset, unsigned size) override;

 private:
  uint64_t apm_read(uint64_t offset, unsigned size);
  void apm_write(uint64_t offset, uint64_t value, unsigned size);
  void enter_sleep(unsigned sleep_type);
  void update_windows();
  uint64_t smbus_read(uint64_t offset, unsigned size) { return smbus_host_->read(offset, size); }
  void smbus_write(uint64_t offset, uint64_t value, unsigned size) {
    smbus_host_->write(offset, value, size);
  }
  static const PropertyInfo kProperties[];
  static const VMState kVmState;

  std::unique_ptr<AcpiFixedHardware> acpi_;
  MmioOf<Piix4Pm, &Piix4Pm::apm_read, &Piix4Pm::apm_write> apm_io_{*this};
  std::shared_ptr<I2cBus> smbus_;
  std::unique_ptr<SmbusHost> smbus_host_;
  MmioOf<Piix4Pm, &Piix4Pm::smbus_read, &Piix4Pm::smbus_write> smbus_io_{*this};
  std::unique_ptr<MemoryRegion> pm_window_, apm_region_, smbus_window_;
};

}  // namespace rhea
