// pc-i440fx: the board, in all its versions. The only place that wires its devices together.
#pragma once

#include "accel/accel.h"
#include "hw/core/machine.h"
#include "hw/i386/acpi_tables.h"
#include "hw/i386/gsi_router.h"
#include "hw/i386/pc_versions.h"
#include "hw/pci/i440fx.h"

namespace rhea {

class CpuHotplug;
class MemoryHotplug;
class FwCfgIo;
class Hpet;
class IsaFdc;
class Mc146818;
class Piix3;
class Piix3Ide;
class Piix4Pm;
class VmGenId;

class PcMachine final : public Machine {
 public:
  /// `version` is an index of pc_versions().
  explicit PcMachine(size_t version);
  ~PcMachine() override;
  const TypeInfo& type() const override { return *machine_class().type; }
  const MachineClass& machine_class() const override;

  void apply_compatibility() override;
  CoResult<> co_build(MachineContext& context) override;
  CoResult<> co_finish(MachineContext& context) override;
  void reset() override;
  void press_power_button() override;
  Result<> set_boot_order(std::string_view order) override;
  std::vector<MachineRom> roms() const override;
  bool can_wake_up() const override;
  void suspend() override;
  void wake_up(WakeupReason reason) override;
  Result<> inject_nmi() override;
  void device_plugged(Device& device) override;
  Result<bool> ask_to_unplug(Device& device) override;
  void withdraw_unplug(Device& device) override;
  /// Null without ACPI.
  const CpuHotplug* cpu_hotplug() const;
  const MemoryHotplug* memory_hotplug() const;

  // Properties.
  OnOffAuto vmport = OnOffAuto::kAuto;
  OnOffAuto smm = OnOffAuto::kAuto;
  bool acpi = true;
  bool pit = true;
  bool hpet = true;
  std::string pflash0, pflash1;   ///< block backends or nodes with firmware and its variables
  uint64_t max_ram_below_4g = 0;  ///< bytes; 0: what the board likes

  PciBus& pci() { return host_->pci(); }

  static const PropertyInfo kProperties[];

 private:
  uint64_t low_ram_bytes(uint64_t ram_bytes) const;
  Result<> build_memory(MachineContext& context);
  Result<> load_firmware(MachineContext& context);
  CoResult<> co_map_flash(MachineContext& context);
  Result<> show_firmware_low(const RamBlock& flash);
  Result<> build_cpus(MachineContext& context);
  void build_cpu_hotplug(MachineContext& context);
  void build_memory_hotplug(MachineContext& context);
  void memory_told_status(unsigned slot);
  void cpu_told_status(unsigned slot);
  void tell_firmware_cpus();
  CoResult<> co_build_chipset(MachineContext& context);
  CoResult<> co_build_interrupt_controllers(MachineContext& context);
  CoResult<> co_build_hpet(MachineContext& context);
  CoResult<> co_build_dma(MachineContext& context);
  CoResult<> co_build_pics(MachineContext& context);
  CoResult<> co_build_legacy(MachineContext& context);
  CoResult<> co_build_input(MachineContext& context);
  CoResult<> co_build_serial_ports(MachineContext& context);
  void set_cmos_memory();
  void set_cmos_floppies();
  static Result<> check_boot_order(std::string_view order);
  void set_cmos_boot(std::string_view order);
  Result<> publish(VmGenId& generation);
  void set_cmos_disks();
  std::string bios_geometry();
  Result<> fill_fw_cfg(MachineContext& context);
  AcpiConfig acpi_config() const;

  /// Makes a board device, lets `configure` wire it, and puts it at /machine/unattached.
  template <class T>
  CoResult<T*> co_add(MachineContext& context, Bus* bus, std::function<void(T&)> configure,
                      const char* name = "device[*]");

  const PcVersion& version_;
  MachineContext* context_ = nullptr;
  uint64_t below_4g_ = 0, above_4g_ = 0;
  std::unique_ptr<MmioHandler> msi_handler_;
  std::unique_ptr<MemoryRegion> msi_window_;
  Result<> build_ram(MachineContext& context);
  std::shared_ptr<RamBlock> firmware_block_;
  std::vector<std::unique_ptr<MemoryRegion>> node_ram_;
  std::unique_ptr<MemoryRegion> ram_, ram_low_, ram_high_, pci_memory_, firmware_, firmware_low_;
  std::array<IrqLine, 24> gsi_;
  I440fxPciHost* host_ = nullptr;
  Piix3* isa_bridge_ = nullptr;
  Piix3Ide* ide_ = nullptr;
  Piix4Pm* pm_ = nullptr;
  Mc146818* rtc_ = nullptr;
  IsaFdc* fdc_ = nullptr;
  Hpet* hpet_ = nullptr;
  FwCfgIo* fw_cfg_ = nullptr;
  std::unique_ptr<PicOutput> pic_output_;  ///< with split interrupt controllers
  std::unique_ptr<GsiRouter> router_;      ///< without the kernel's interrupt controllers
  bool boot_once_ = false, power_on_ = true;
};

/// Makes the types of this folder and of the devices the board needs known.
void register_pc_types();

}  // namespace rhea
