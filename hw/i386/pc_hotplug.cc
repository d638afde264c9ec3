// What comes to and goes from a running pc machine: processors and PCI functions; memory is in
// pc_memory_hotplug.cc.
#include "hw/acpi/piix4_pm.h"
#include "hw/core/unplug.h"
#include "hw/i386/fw_cfg_setup.h"
#include "hw/i386/pc.h"
#include "hw/i386/pc_memory_hotplug.h"
#include "hw/mem/pc_dimm.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/rtc/mc146818.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qapi_events_devices.h"
#include "qapi/qmp_context.h"
#include "target/i386/cpu_slots.h"
#include "target/i386/x86_cpu.h"

namespace rhea {

namespace {

X86Cpu* cpu_at(unsigned index) {
  for (X86Cpu* cpu : X86Cpu::all())
    if (cpu->index() == index) return cpu;
  return nullptr;
}

std::vector<ACPIOSTInfo> slot_reports(const CpuHotplug& hotplug) {
  std::vector<ACPIOSTInfo> out;
  if (hotplug.legacy()) return out;
  for (unsigned i = 0; i < hotplug.slots().size(); ++i) {
    ACPIOSTInfo& info = out.emplace_back();
    if (const X86Cpu* cpu = cpu_at(i); cpu != nullptr && !cpu->id().empty()) info.device = cpu->id();
    info.slot = std::to_string(i);
    info.slot_type = ACPISlotType::kCPU;
    info.source = hotplug.slots()[i].ost_event;
    info.status = hotplug.slots()[i].ost_status;
  }
  return out;
}

}  // namespace

const CpuHotplug* PcMachine::cpu_hotplug() const {
  return pm_ != nullptr ? pm_->cpu_hotplug.get() : nullptr;
}

void PcMachine::build_cpu_hotplug(MachineContext& context) {
  std::vector<uint32_t> apic_ids;
  for (const CpuSlot& slot : cpu_slots().list) apic_ids.push_back(slot.place.apic_id);
  pm_->cpu_hotplug = std::make_unique<CpuHotplug>(
      apic_ids, CpuHotplug::Wiring{
                    .present = [](unsigned slot) { return cpu_at(slot) != nullptr; },
                    .eject =
                        // The processor that goes may be the one that writes: it goes on the main loop.
                    [this, unplugger = context.devices.unplugger](unsigned slot) {
                      X86Cpu* cpu = cpu_at(slot);
                      if (slot == 0 || cpu == nullptr || unplugger == nullptr) return;
                      pm_->cpu_hotplug->unplugged(slot);
                      unplugger->ejected(*cpu);
                    },
                    .raise_gpe = [this] { pm_->acpi().raise_gpe(CpuHotplug::kGpe); },
                    .status_told = [this](unsigned slot) { cpu_told_status(slot); },
                });
  pm_->cpu_hotplug->map(system_io());
  if (context.devices.unplugger != nullptr)
    context.devices.unplugger->removed = [this] { tell_firmware_cpus(); };
}

/// ACPI 6.4, 6.3.5: a status other than success and "in progress" refuses an eject request.
void PcMachine::cpu_told_status(unsigned slot) {
  constexpr uint32_t kEjectRequest = 3, kSuccess = 0, kInProgress = 0x84;
  std::vector<ACPIOSTInfo> all = slot_reports(*pm_->cpu_hotplug);
  if (slot >= all.size()) return;
  const ACPIOSTInfo& said = all[slot];
  const bool refused = said.source == kEjectRequest && said.status != kSuccess && said.status != kInProgress;
  X86Cpu* cpu = cpu_at(slot);
  qapi_event_send_acpi_device_ost(ACPIOSTInfo(said));
  if (refused && cpu != nullptr && context_->devices.unplugger != nullptr)
    context_->devices.unplugger->refused(*cpu);
}

/// The firmware waits for so many to come up after a reset.
void PcMachine::tell_firmware_cpus() {
  const auto count = static_cast<uint16_t>(X86Cpu::all().size());
  if (rtc_ != nullptr) rtc_->set_cmos(0x5f, static_cast<uint8_t>(count - 1));
  if (fw_cfg_ != nullptr) fw_cfg_->store().set_u16(FwCfgKey::kCpuCount, count);
}

/// A function that has come gets the reset that all others had when the machine started.
void PcMachine::device_plugged(Device& device) {
  if (auto* function = dynamic_cast<PciDevice*>(&device)) {
    function->reset();
    reset_devices(*function);
    function->reset_exit();
    if (pm_ != nullptr && pm_->pci_hotplug != nullptr) pm_->pci_hotplug->plugged(*function);
    return;
  }
  if (const auto* module = dynamic_cast<const PcDimm*>(&device)) {
    if (pm_ != nullptr) pm_->memory_hotplug->plugged(static_cast<unsigned>(module->slot));
    return;
  }
  const auto* cpu = dynamic_cast<const X86Cpu*>(&device);
  if (cpu == nullptr) return;
  tell_firmware_cpus();
  if (pm_ != nullptr) pm_->cpu_hotplug->plugged(cpu->index());
}

Result<bool> PcMachine::ask_to_unplug(Device& device) {
  if (const auto* function = dynamic_cast<const PciDevice*>(&device)) {
    pm_->pci_hotplug->ask_to_unplug(*function);  // its bus allows it, so it is there
    return true;
  }
  if (const auto* module = dynamic_cast<const PcDimm*>(&device)) {
    if (pm_ == nullptr)
      return fail(ENOTSUP, "memory hotplug is not enabled: missing acpi device or acpi disabled");
    pm_->memory_hotplug->ask_to_unplug(static_cast<unsigned>(module->slot));
    return true;
  }
  const auto* cpu = dynamic_cast<const X86Cpu*>(&device);
  if (cpu == nullptr) return false;
  if (pm_ == nullptr) return fail(ENOTSUP, "CPU hot unplug not supported without ACPI");
  if (cpu->index() == 0) return fail(EBUSY, "Boot CPU is unpluggable");
  if (pm_->cpu_hotplug->legacy())
    return fail(ENOTSUP, "acpi: device unplug request for not supported device type: ", device.type().name);
  pm_->cpu_hotplug->ask_to_unplug(cpu->index());
  return true;
}

void PcMachine::withdraw_unplug(Device& device) {
  const auto* function = dynamic_cast<const PciDevice*>(&device);
  if (function != nullptr && pm_ != nullptr && pm_->pci_hotplug != nullptr)
    pm_->pci_hotplug->withdraw(*function);
  if (const auto* cpu = dynamic_cast<const X86Cpu*>(&device); cpu != nullptr && pm_ != nullptr)
    pm_->cpu_hotplug->withdraw(cpu->index());
  if (const auto* module = dynamic_cast<const PcDimm*>(&device); module != nullptr && pm_ != nullptr)
    pm_->memory_hotplug->withdraw(static_cast<unsigned>(module->slot));
}

Result<std::vector<ACPIOSTInfo>> qmp_query_acpi_ospm_status(QmpContext& ctx) {
  auto* machine = dynamic_cast<PcMachine*>(ctx.qom.resolve("/machine"));
  const CpuHotplug* hotplug = machine != nullptr ? machine->cpu_hotplug() : nullptr;
  if (hotplug == nullptr) return fail(ENOTSUP, "command is not supported, missing ACPI device");
  std::vector<ACPIOSTInfo> out = module_reports(*machine->memory_hotplug());
  for (ACPIOSTInfo& info : slot_reports(*hotplug)) out.push_back(std::move(info));
  return out;
}

}  // namespace rhea
