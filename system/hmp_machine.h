// The human monitor's commands about the machine.
#pragma once

#include <cstdint>

namespace rhea {
class HmpRegistry;
/// `bytes` (1 to 8) of guest memory at a physical address, as page tables are read.
uint64_t read_physical(uint64_t address, unsigned bytes);
/// Adds all of them: those below, and info mtree, pci, kvm, history.
void register_machine_hmp(HmpRegistry& registry);
/// cpu, info cpus, registers, mem, tlb, lapic; and $registers in expressions.
void register_cpu_hmp(HmpRegistry& registry);
/// boot_set, memsave, pmemsave, getfd, closefd, info memory_size_summary, ramblock, roms.
void register_control_hmp(HmpRegistry& registry);
/// dump-guest-memory, calc_dirty_rate, info dump, dirty_rate.
void register_dump_hmp(HmpRegistry& registry);
/// balloon, block_resize, info balloon, hotpluggable-cpus, memdev, memory-devices.
void register_device_hmp(HmpRegistry& registry);
/// netdev_add, netdev_del, set_link, info network.
void register_net_hmp(HmpRegistry& registry);
/// info stats.
void register_stats_hmp(HmpRegistry& registry);
/// info pic, irq.
void register_interrupt_hmp(HmpRegistry& registry);
/// log, logfile, trace-event, info trace-events.
void register_log_hmp(HmpRegistry& registry);
/// x, xp, print, i, o, sum, gva2gpa, gpa2hva, gpa2hpa.
void register_memory_hmp(HmpRegistry& registry);
/// qom-*, object_*, device_*, info qom-tree, qtree, qdm.
void register_qom_hmp(HmpRegistry& registry);
}  // namespace rhea
