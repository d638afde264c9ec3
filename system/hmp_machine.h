// The human monitor's views of the machine.
#pragma once

namespace rhea {
class HmpRegistry;
/// Adds info qtree, qom-tree, mtree, pci, cpus and registers.
void register_machine_hmp(HmpRegistry& registry);
}  // namespace rhea
