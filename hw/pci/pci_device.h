// PCI functions and buses. Spec: PCI Local Bus 3.0 chapters 6 (configuration space) and 2.2.6 (INTx).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hw/core/device.h"
#include "memory/memory.h"

namespace rhea {

class PciBus;

namespace pci {
inline constexpr uint8_t kVendorId = 0x00, kDeviceId = 0x02, kCommand = 0x04, kStatus = 0x06,
                         kRevision = 0x08, kProgIf = 0x09, kClass = 0x0a, kCacheLine = 0x0c, kLatency = 0x0d,
                         kHeaderType = 0x0e, kBar0 = 0x10, kSubVendorId = 0x2c, kSubDeviceId = 0x2e,
                         kRomBar = 0x30, kCapPtr = 0x34, kInterruptLine = 0x3c, kInterruptPin = 0x3d;
// Of bridges (PCI-to-PCI Bridge Architecture 1.2, 3.2).
inline constexpr uint8_t kPrimaryBus = 0x18, kSecondaryBus = 0x19, kSubordinateBus = 0x1a, kIoBase = 0x1c,
                         kIoLimit = 0x1d, kSecondaryStatus = 0x1e, kMemoryBase = 0x20, kMemoryLimit = 0x22,
                         kPrefetchBase = 0x24, kPrefetchLimit = 0x26, kPrefetchBaseUpper = 0x28,
                         kPrefetchLimitUpper = 0x2c, kBridgeControl = 0x3e;
inline constexpr uint16_t kCommandIo = 1, kCommandMemory = 2, kCommandMaster = 4, kCommandSerr = 0x100,
                          kCommandIntxDisable = 0x400;
inline constexpr uint32_t kRomEnable = 1;
inline constexpr uint16_t kStatusInterrupt = 0x08, kStatusCapList = 0x10;
constexpr int devfn(int slot, int function) {
  return slot << 3 | function;
}
}  // namespace pci

/// What identifies a function.
struct PciIds {
  uint16_t vendor;
  uint16_t device;
  uint8_t revision;
  uint16_t class_id;  ///< base class << 8 | sub-class
  uint8_t prog_if = 0;
  uint16_t sub_vendor = 0x1af4;
  uint16_t sub_device = 0x1100;
};

/// One PCI function: 256 bytes of configuration space, six BARs and a ROM, one INTx pin.
class PciDevice : public Device {
 public:
  static const TypeInfo
      kType;  ///< "pci-device", abstract; properties addr, multifunction, romfile, romsize, rombar
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "PCI"; }

  virtual PciIds pci_ids() const = 0;
  PciBus* pci_bus() const;
  int devfn() const { return devfn_; }           ///< -1 until it is on a bus
  void set_devfn(int devfn) { devfn_ = devfn; }  ///< before plug
  bool multifunction() const { return multifunction_; }
  void set_multifunction(bool on) { multifunction_ = on; }
  /// The bus behind it; null if it is no bridge.
  virtual PciBus* secondary_bus() const { return nullptr; }
  /// The guest has let go of it: from now on it answers to no access, raises no interrupt and reaches no
  /// memory. There is no way back.
  virtual void hide();
  bool hidden() const { return hidden_; }

  /// Guest access to configuration space, `size` 1, 2 or 4, offset + size <= 256. Overriders call the base.
  virtual uint32_t config_read(unsigned offset, unsigned size);
  virtual void config_write(unsigned offset, uint32_t value, unsigned size);

  uint8_t* config() { return config_.data(); }
  const uint8_t* config() const { return config_.data(); }
  /// Which bits the guest may change; bits it clears by writing one.
  uint8_t* write_mask() { return wmask_.data(); }
  uint8_t* clear_mask() { return w1cmask_.data(); }

  /// Shows `region` through BAR `n` (0..5) as memory or ports; its size must be a power of two.
  void register_bar(int n, bool io, std::unique_ptr<MemoryRegion> region, bool prefetchable = false);
  /// The same with a 64-bit address, which takes BAR n + 1 too; memory, prefetchable.
  void register_wide_bar(int n, std::unique_ptr<MemoryRegion> region);
  /// Puts a capability of `bytes` (a multiple of 4) into the list and returns where it begins; its body is
  /// read-only zeros. In do_realize().
  unsigned add_capability(uint8_t id, unsigned bytes);
  MemoryRegion* bar_region(int n) const { return bars_[n].region.get(); }  ///< 6: the ROM
  /// Where the guest has mapped BAR `n`; UINT64_MAX if nowhere.
  uint64_t bar_address(int n) const { return bars_[n].address; }

  /// The option ROM: a file name, searched for as firmware is; empty: none.
  const std::string& rom_file() const { return rom_file_ ? *rom_file_ : default_rom_; }
  void set_rom_file(std::string name) { rom_file_ = std::move(name); }
  /// The ROM of a function without a ROM BAR (rombar=0), for whoever hands it to the firmware; else empty.
  const std::vector<uint8_t>& rom_for_firmware() const { return firmware_rom_; }
  uint32_t rom_bar = 1;
  uint32_t rom_size = UINT32_MAX;  ///< bytes, a power of two; UINT32_MAX: what holds the file
  static constexpr uint32_t kMaxAcpiIndex = 16383;
  uint32_t acpi_index = 0;  ///< by which guests name it (PCI Firmware 3.3, 4.6.7); 0: by nothing

  /// INTx, level: pin A unless config says otherwise. Honours the interrupt-disable bit.
  void set_intx(int level);
  bool bus_master() const;
  /// DMA as a bus master; refused (kRefused) while the guest has bus mastering off.
  MemResult dma_read(GuestAddr addr, void* out, uint64_t bytes);
  MemResult dma_write(GuestAddr addr, const void* data, uint64_t bytes);

  void reset() override;
  /// "PCIDevice" fields (version, config, irq state): nested first in a function's own description.
  static const VMState kPciVmState;

  std::string fw_name() const override;
  void describe(std::string& out) const override;

 protected:
  Result<> do_realize() override;  ///< overriders call it first
  void do_unrealize() override;
  /// After a configuration write changed something; base updates BARs and INTx.
  virtual void config_changed(unsigned offset, unsigned size);
  void update_bars();
  /// The ROM of this type of function; in the constructor.
  void set_default_rom(const char* name) { default_rom_ = name; }

 private:
  friend class PciBus;
  struct Bar {
    std::unique_ptr<MemoryRegion> region;
    bool io = false;
    bool prefetchable = false;
    bool wide = false;  ///< its address goes on in the next BAR
    uint64_t address = UINT64_MAX;
    bool mapped = false;
  };
  void update_intx();
  void map_bar(Bar& bar, size_t at);
  Result<> load_rom();
  static constexpr size_t kRomSlot = 6;  ///< in bars_
  static const PropertyInfo kProperties[];
  unsigned next_capability_ = 0x40;
  int devfn_ = -1;
  bool multifunction_ = false;
  bool hidden_ = false;
  std::array<uint8_t, 256> config_{};
  std::array<uint8_t, 256> wmask_{};
  std::array<uint8_t, 256> w1cmask_{};
  std::array<Bar, 7> bars_;
  std::string default_rom_;
  std::optional<std::string> rom_file_;
  std::vector<uint8_t> firmware_rom_;
  int intx_level_ = 0;   ///< what the device asks
  int intx_driven_ = 0;  ///< what the bus sees
};

/// The PCI part of function `D` in its own description: QEMU's name for the field differs between devices.
template <class D>
constexpr VMStateField pci_device_field(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField& self) {
                PciDevice* part = const_cast<D*>(static_cast<const D*>(o));
                vmstate_save(*self.nested, part, out);
              },
          .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
            PciDevice* part = static_cast<D*>(o);
            return vmstate_load(*self.nested, part, in, self.nested->version);
          },
          .nested = &PciDevice::kPciVmState};
}

/// "IDE controller" for a class number; null if it has no name here.
const char* pci_class_description(uint16_t class_id);

/// A PCI bus: 32 slots of 8 functions. INTx pins go through `map_irq` to the inputs of the router.
class PciBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "PCI"
  const TypeInfo& type() const override { return kType; }
  PciBus(std::string name, MemoryRegion& memory, MemoryRegion& io)
      : Bus(std::move(name)), memory_(memory), io_(io) {}

  const char* bus_kind() const override { return "PCI"; }
  bool hotplug_allowed() const override;
  std::string device_path(const Device&) const override;
  PciDevice* function(int devfn) const { return functions_[static_cast<size_t>(devfn)]; }
  MemoryRegion& memory() const { return memory_; }
  MemoryRegion& io() const { return io_; }
  /// The number the guest gave it; that of the root is 0.
  int bus_number() const;
  /// The bridge it lies behind; null for the root. The bridge puts its bus there and takes it away.
  PciDevice* bridge() const { return bridge_; }
  void put_behind(PciDevice& bridge);
  void leave_bridge();
  /// The buses behind the bridges on this one, newest first.
  const std::vector<PciBus*>& buses_below() const { return below_; }
  /// By which number the guest's ACPI code knows the slots that devices come to and go from; none if they do
  /// not. Set once.
  std::optional<uint32_t> hotplug_number() const { return hotplug_number_; }
  void set_hotplug_number(uint32_t number);

  /// Counts asserted pins per router input and drives the router. `pin` 0..3 = A..D.
  void set_intx(PciDevice& device, int pin, int level);
  /// The router: input = map(devfn, pin).
  void set_router(std::function<int(int devfn, int pin)> map, std::vector<IrqLine> inputs);
  /// Levels as counted, for the router's VMState and reset.
  const std::vector<int>& input_counts() const { return counts_; }

  // Type 1 access: `address` as in CONFIG_ADDRESS without the enable bit.
  uint32_t config_read(uint32_t address, unsigned size);
  void config_write(uint32_t address, uint32_t value, unsigned size);
  std::string info_text() const;  ///< "info pci"; buses the guest has numbered included

 protected:
  Result<> check_address(Device& device) override;
  void device_left(const Device* device) override;

 private:
  /// A slot holds one function, or several if function 0 says so (6.2.1, header type bit 7).
  Result<> check_multifunction(const PciDevice& device) const;
  Result<> check_acpi_index(const PciDevice& device) const;
  PciDevice* find_function(uint32_t address);
  MemoryRegion& memory_;
  MemoryRegion& io_;
  std::array<PciDevice*, 256> functions_{};
  std::function<int(int, int)> map_;
  std::vector<IrqLine> inputs_;
  std::vector<int> counts_;
  PciDevice* bridge_ = nullptr;
  std::vector<PciBus*> below_;
  std::optional<uint32_t> hotplug_number_;
};

}  // namespace rhea
