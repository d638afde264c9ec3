// Memory modules that come to and go from a running pc machine.
#include "hw/i386/pc_memory_hotplug.h"

#include "hw/acpi/piix4_pm.h"
#include "hw/core/machine.h"
#include "hw/core/unplug.h"
#include "hw/i386/pc.h"
#include "hw/mem/pc_dimm.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qapi_events_devices.h"
#include "qapi/qmp_context.h"

namespace rhea {

std::vector<ACPIOSTInfo> module_reports(const MemoryHotplug& hotplug) {
  std::vector<ACPIOSTInfo> out;
  for (unsigned i = 0; i < hotplug.slots().size(); ++i) {
    ACPIOSTInfo& info = out.emplace_back();
    if (const PcDimm* module = memory_devices().at(i); module != nullptr && !module->id().empty())
      info.device = module->id();
    info.slot = std::to_string(i);
    info.slot_type = ACPISlotType::kDIMM;
    info.source = hotplug.slots()[i].ost_event;
    info.status = hotplug.slots()[i].ost_status;
  }
  return out;
}

const MemoryHotplug* PcMachine::memory_hotplug() const {
  return pm_ != nullptr ? pm_->memory_hotplug.get() : nullptr;
}

void PcMachine::build_memory_hotplug(MachineContext& context) {
  pm_->memory_hotplug = std::make_unique<MemoryHotplug>(
      memory_devices().slots(), MemoryHotplug::Wiring{
                                    .module = [](unsigned slot) -> std::optional<MemoryHotplugModule> {
                                      const PcDimm* module = memory_devices().at(slot);
                                      // One that is on its way out is gone for the guest.
                                      if (module == nullptr || unplug_state(*module) == UnplugState::kEjected)
                                        return std::nullopt;
                                      return MemoryHotplugModule{.address = module->address,
                                                                 .bytes = module->bytes(),
                                                                 .node = module->node};
                                    },
                                    .eject =
                                        [this, unplugger = context.devices.unplugger](unsigned slot) {
                                          PcDimm* module = memory_devices().at(slot);
                                          if (module == nullptr || unplugger == nullptr) return;
                                          pm_->memory_hotplug->unplugged(slot);
                                          unplugger->ejected(*module);
                                        },
                                    .raise_gpe = [this] { pm_->acpi().raise_gpe(MemoryHotplug::kGpe); },
                                    .status_told = [this](unsigned slot) { memory_told_status(slot); },
                                });
  pm_->memory_hotplug->map(system_io());
}

/// ACPI 6.4, 6.3.5: a status other than success and "in progress" refuses an eject request.
void PcMachine::memory_told_status(unsigned slot) {
  constexpr uint32_t kEjectRequest = 3, kSuccess = 0, kInProgress = 0x84;
  std::vector<ACPIOSTInfo> all = module_reports(*pm_->memory_hotplug);
  if (slot >= all.size()) return;
  const ACPIOSTInfo& said = all[slot];
  const bool refused = said.source == kEjectRequest && said.status != kSuccess && said.status != kInProgress;
  PcDimm* module = memory_devices().at(slot);
  qapi_event_send_acpi_device_ost(ACPIOSTInfo(said));
  if (refused && module != nullptr && context_->devices.unplugger != nullptr)
    context_->devices.unplugger->refused(*module);
}

Result<std::vector<MemoryDeviceInfo>> qmp_query_memory_devices(QmpContext&) {
  std::vector<MemoryDeviceInfo> out;
  for (const PcDimm* module : memory_devices().modules()) {
    PCDIMMDeviceInfo d;
    if (!module->id().empty()) d.id = module->id();
    d.addr = static_cast<int64_t>(module->address);
    d.size = static_cast<int64_t>(module->bytes());
    d.slot = module->slot;
    d.node = module->node;
    d.memdev = module->backend()->path();
    d.hotplugged = module->hotplugged();
    d.hotpluggable = true;
    MemoryDeviceInfo& info = out.emplace_back();
    info.type = MemoryDeviceInfoKind::kDimm;
    MemoryDeviceInfoDimmWrapper wrapper;
    wrapper.data = std::move(d);
    info.u = std::move(wrapper);
  }
  return out;
}

Result<MemoryInfo> qmp_query_memory_size_summary(QmpContext& ctx) {
  MemoryInfo info;
  const auto* machine = dynamic_cast<const Machine*>(ctx.qom.resolve("/machine"));
  if (machine != nullptr && machine->config != nullptr) info.base_memory = machine->config->ram_bytes;
  info.plugged_memory = memory_devices().used_bytes();
  return info;
}

}  // namespace rhea
