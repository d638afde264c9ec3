// What the guest last said of its memory slots.
#pragma once

#include <vector>

#include "hw/acpi/memory_hotplug.h"
#include "qapi/qapi_types_devices.h"

namespace rhea {

std::vector<ACPIOSTInfo> module_reports(const MemoryHotplug& hotplug);

}  // namespace rhea
