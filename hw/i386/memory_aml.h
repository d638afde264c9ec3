// The AML by which a guest learns of memory modules that come and go. Spec: ACPI 6.4,
// sections 5.6.6, 6.2.2, 6.3 and 9.11.
#pragma once

#include "hw/acpi/aml.h"
#include "hw/i386/acpi_tables.h"

namespace rhea {

// \_SB.DIMM: the registers, what talks to them, and a device for each slot. Only with slots.
aml::Term memory_container(const AcpiConfig& config);
// \_GPE._E03: looks which modules came and which are to go.
aml::Term memory_hotplug_event();

}  // namespace rhea
