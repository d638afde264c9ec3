// What comes to and goes from a running pc machine: processors.
#include "hw/acpi/piix4_pm.h"
#include "hw/core/device_add.h"
#include "hw/i386/fw_cfg_setup.h"
#include "hw/i386/pc.h"
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
                        [this, &loop = context.devices.main_loop](unsigned slot) {
                          X86Cpu* cpu = cpu_at(slot);
                          if (slot == 0 || cpu == nullptr) return;
                          loop.post([this, weak = cpu->weak_from_this()] {
                            if (auto object = weak.lock()) eject_cpu(std::move(object));
                          });
                        },
                    .raise_gpe = [this] { pm_->acpi().raise_gpe(CpuHotplug::kGpe); },
                    .status_told =
                        [this](unsigned slot) {
                          std::vector<ACPIOSTInfo> all = slot_reports(*pm_->cpu_hotplug);
                          if (slot < all.size()) qapi_event_send_acpi_device_ost(std::move(all[slot]));
                        },
                });
  pm_->cpu_hotplug->map(system_io());
}

/// On the main loop: the guest's write has long ended, and its own processor may be the one that goes.
void PcMachine::eject_cpu(std::shared_ptr<Object> object) {
  auto cpu = std::static_pointer_cast<X86Cpu>(std::move(object));
  if (!cpu->realized()) return;  // ejected twice
  const unsigned slot = cpu->index();
  delete_device(std::move(cpu));
  pm_->cpu_hotplug->unplugged(slot);
  tell_firmware_cpus();
}

/// The firmware waits for so many to come up after a reset.
void PcMachine::tell_firmware_cpus() {
  const auto count = static_cast<uint16_t>(X86Cpu::all().size());
  if (rtc_ != nullptr) rtc_->set_cmos(0x5f, static_cast<uint8_t>(count - 1));
  if (fw_cfg_ != nullptr) fw_cfg_->store().set_u16(FwCfgKey::kCpuCount, count);
}

void PcMachine::device_plugged(Device& device) {
  const auto* cpu = dynamic_cast<const X86Cpu*>(&device);
  if (cpu == nullptr) return;
  tell_firmware_cpus();
  if (pm_ != nullptr) pm_->cpu_hotplug->plugged(cpu->index());
}

Result<bool> PcMachine::ask_to_unplug(Device& device) {
  const auto* cpu = dynamic_cast<const X86Cpu*>(&device);
  if (cpu == nullptr) return false;
  if (pm_ == nullptr) return fail(ENOTSUP, "CPU hot unplug not supported without ACPI");
  if (cpu->index() == 0) return fail(EBUSY, "Boot CPU is unpluggable");
  if (pm_->cpu_hotplug->legacy())
    return fail(ENOTSUP, "acpi: device unplug request for not supported device type: ", device.type().name);
  pm_->cpu_hotplug->ask_to_unplug(cpu->index());
  return true;
}

Result<std::vector<ACPIOSTInfo>> qmp_query_acpi_ospm_status(QmpContext& ctx) {
  auto* machine = dynamic_cast<PcMachine*>(ctx.qom.resolve("/machine"));
  const CpuHotplug* hotplug = machine != nullptr ? machine->cpu_hotplug() : nullptr;
  if (hotplug == nullptr) return fail(ENOTSUP, "command is not supported, missing ACPI device");
  return slot_reports(*hotplug);
}

}  // namespace rhea
