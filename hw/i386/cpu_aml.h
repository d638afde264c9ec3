// The AML by which a guest learns of processors that come and go. Spec: ACPI 6.4, sections 5.6.6, 6.3
// and 8.4.
#pragma once

#include "hw/acpi/aml.h"
#include "hw/i386/acpi_tables.h"

namespace rhea {

// \_SB.CPUS: a device for each processor; with hotplug registers, also what talks to them.
aml::Term cpu_container(const AcpiConfig& config);
// For the PCI bus: that the registers' ports are taken.
aml::Term cpu_hotplug_reservation(uint16_t base);
// \_GPE._E02: looks which processors came and which are to go.
aml::Term cpu_hotplug_event();

}  // namespace rhea
