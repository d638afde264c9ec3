// AML of PCI slots that devices come to and go from. Registers: docs/specs/acpi_pci_hotplug of QEMU.
#pragma once

#include "hw/acpi/aml.h"
#include "hw/i386/acpi_tables.h"

namespace rhea {

/// For the scope of the host bridge: registers, what uses them, and a device for each slot. Empty without
/// hotplug. The ISA bridge's slot is left out: it has a device of its own.
aml::TermList pci_hotplug_scope(const AcpiConfig& config);
/// The ports, so that nobody else is given them.
aml::Term pci_hotplug_reservation(uint16_t base);
/// For the root: the handler of general purpose event 1.
aml::Term pci_hotplug_event();

}  // namespace rhea
