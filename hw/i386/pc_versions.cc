// What changed between versions of the machine, newest first: initial values of properties that guests, saved
// machines or managers can see. Types that are not here yet are passed over when a machine is made.
#include "hw/i386/pc_versions.h"

namespace rhea {

namespace {

// clang-format off
constexpr CompatProperty kTo7_1[] = {
    {"virtio-device", "queue_reset", "off"}, {"virtio-rng-pci", "vectors", "0"},
};
constexpr CompatProperty kTo6_2[] = {
    {"PIIX4_PM", "x-not-migrate-acpi-index", "on"},
};
constexpr CompatProperty kTo6_1[] = {
    {"x86_64-cpu", "hv-version-id-build", "0x1bbc"}, {"x86_64-cpu", "hv-version-id-major", "6"},
    {"x86_64-cpu", "hv-version-id-minor", "1"},
};
constexpr CompatProperty kTo6_0[] = {
    {"qemu64-x86_64-cpu", "family", "6"}, {"qemu64-x86_64-cpu", "model", "6"},
    {"qemu64-x86_64-cpu", "stepping", "3"}, {"x86_64-cpu", "x-vendor-cpuid-only", "off"},
    {"i8042", "extended-state", "off"}, {"e1000", "init-vet", "off"}, {"e1000e", "init-vet", "off"},
};
constexpr CompatProperty kTo5_2[] = {
    {"PIIX4_PM", "smm-compat", "on"}, {"virtio-net-pci", "vectors", "3"},
};
constexpr CompatProperty kTo5_1[] = {
    {"virtio-pci", "x-ats-page-aligned", "off"},
};
constexpr CompatProperty kTo5_0[] = {
    {"i440FX", "x-config-reg-migration-enabled", "off"}, {"vmport", "x-cmds-v2", "off"},
    {"vmport", "x-read-set-eax", "off"}, {"vmport", "x-signal-unsupported-cmd", "off"},
    {"virtio-balloon-device", "page-poison", "off"}, {"virtio-pci", "x-disable-legacy-check", "on"},
};
constexpr CompatProperty kTo4_2[] = {
    {"fw_cfg", "acpi-mr-restore", "off"}, {"qxl", "revision", "4"},
    {"virtio-device", "use-disabled-flag", "off"}, {"virtio-blk-device", "seg-max-adjust", "off"},
    {"virtio-scsi-device", "seg_max_adjust", "off"}, {"virtio-blk-device", "queue-size", "128"},
    {"virtio-scsi-device", "virtqueue_size", "128"},
    {"virtio-blk-device", "x-enable-wce-if-config-wce", "off"},
};
constexpr CompatProperty kTo4_1[] = {
    {"virtio-pci", "x-pcie-flr-init", "off"},
};
constexpr CompatProperty kTo4_0[] = {
    {"VGA", "edid", "off"}, {"secondary-vga", "edid", "off"}, {"secondary-vga", "xres", "0"},
    {"secondary-vga", "yres", "0"}, {"virtio-device", "use-started", "off"},
    {"virtio-balloon-device", "qemu-4-0-config-size", "on"},
};
constexpr CompatProperty kTo3_1[] = {
    {"x86_64-cpu", "x-intel-pt-auto-level", "off"}, {"Cascadelake-Server-x86_64-cpu", "mpx", "on"},
    {"Icelake-Server-x86_64-cpu", "mpx", "on"}, {"Skylake-Client-IBRS-x86_64-cpu", "mpx", "on"},
    {"Skylake-Client-x86_64-cpu", "mpx", "on"}, {"Skylake-Server-IBRS-x86_64-cpu", "mpx", "on"},
    {"Skylake-Server-x86_64-cpu", "mpx", "on"}, {"Cascadelake-Server-x86_64-cpu", "stepping", "5"},
    {"EPYC-IBPB-x86_64-cpu", "npt", "off"}, {"EPYC-IBPB-x86_64-cpu", "nrip-save", "off"},
    {"EPYC-x86_64-cpu", "npt", "off"}, {"EPYC-x86_64-cpu", "nrip-save", "off"},
    {"Opteron_G4-x86_64-cpu", "npt", "off"}, {"Opteron_G4-x86_64-cpu", "nrip-save", "off"},
    {"Opteron_G5-x86_64-cpu", "npt", "off"}, {"Opteron_G5-x86_64-cpu", "nrip-save", "off"},
    {"Opteron_G3-x86_64-cpu", "rdtscp", "off"}, {"Opteron_G4-x86_64-cpu", "rdtscp", "off"},
    {"Opteron_G5-x86_64-cpu", "rdtscp", "off"}, {"usb-kbd", "serial", "42"}, {"usb-tablet", "serial", "42"},
    {"usb-mouse", "serial", "42"}, {"virtio-balloon-device", "qemu-4-0-config-size", "off"},
};
constexpr CompatProperty kTo3_0[] = {
    {"x86_64-cpu", "x-hv-synic-kvm-only", "on"}, {"Skylake-Server-IBRS-x86_64-cpu", "pku", "off"},
    {"Skylake-Server-x86_64-cpu", "pku", "off"},
};
constexpr CompatProperty kTo2_12[] = {
    {"x86_64-cpu", "legacy-cache", "on"}, {"x86_64-cpu", "topoext", "off"},
    {"EPYC-x86_64-cpu", "xlevel", "0x8000000a"}, {"EPYC-IBPB-x86_64-cpu", "xlevel", "0x8000000a"},
};
constexpr CompatProperty kTo2_11[] = {
    {"x86_64-cpu", "x-migrate-smi-count", "off"}, {"Skylake-Server-x86_64-cpu", "clflushopt", "off"},
    {"hpet", "hpet-offset-saved", "off"}, {"e1000", "migrate_tso_props", "off"},
};
constexpr CompatProperty kTo2_10[] = {
    {"x86_64-cpu", "x-hv-max-vps", "0x40"}, {"i440FX-pcihost", "x-pci-hole64-fix", "off"},
};
constexpr CompatProperty kTo2_9[] = {
    {"virtio-net-device", "x-mtu-bypass-backend", "off"},
};
constexpr CompatProperty kTo2_8[] = {
    {"x86_64-cpu", "tcg-cpuid", "off"}, {"x86_64-cpu", "vmware-cpuid-freq", "off"},
    {"Haswell-x86_64-cpu", "stepping", "1"}, {"fw_cfg_io", "x-file-slots", "16"},
    {"pci-device", "x-pcie-extcap-init", "off"}, {"virtio-pci", "x-pcie-deverr-init", "off"},
    {"virtio-pci", "x-pcie-lnkctl-init", "off"}, {"virtio-pci", "x-pcie-pm-init", "off"},
};
constexpr CompatProperty kTo2_7[] = {
    {"x86_64-cpu", "full-cpuid-auto-level", "off"}, {"x86_64-cpu", "l3-cache", "off"},
    {"Opteron_G3-x86_64-cpu", "family", "15"}, {"Opteron_G3-x86_64-cpu", "model", "6"},
    {"Opteron_G3-x86_64-cpu", "stepping", "1"}, {"ioapic", "version", "0x11"},
    {"virtio-pci", "page-per-vq", "on"}, {"virtio-serial-device", "emergency-write", "off"},
    {"virtio-device", "x-ignore-backend-features", "on"},
};
constexpr CompatProperty kTo2_6[] = {
    {"x86_64-cpu", "cpuid-0xb", "off"}, {"x86_64-cpu", "fill-mtrr-mask", "off"},
    {"virtio-pci", "disable-modern", "on"}, {"vmxnet3", "romfile", ""},
};
constexpr CompatProperty kTo2_5[] = {
    {"isa-fdc", "fallback", "144"}, {"vmxnet3", "x-disable-pcie", "on"},
    {"vmxnet3", "x-old-msi-offsets", "on"},
};
constexpr CompatProperty kTo2_4[] = {
    {"x86_64-cpu", "check", "off"}, {"Broadwell-noTSX-x86_64-cpu", "abm", "off"},
    {"Broadwell-x86_64-cpu", "abm", "off"}, {"Haswell-noTSX-x86_64-cpu", "abm", "off"},
    {"Haswell-x86_64-cpu", "abm", "off"}, {"Opteron_G2-x86_64-cpu", "rdtscp", "on"},
    {"Opteron_G3-x86_64-cpu", "rdtscp", "on"}, {"Opteron_G4-x86_64-cpu", "rdtscp", "on"},
    {"Opteron_G5-x86_64-cpu", "rdtscp", "on"}, {"host-x86_64-cpu", "host-cache-info", "on"},
    {"qemu32-x86_64-cpu", "popcnt", "on"}, {"qemu64-x86_64-cpu", "popcnt", "on"},
    {"qemu64-x86_64-cpu", "abm", "on"}, {"qemu64-x86_64-cpu", "sse4a", "on"},
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.4.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.4.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.4.0"},
    {"fw_cfg_io", "dma_enabled", "off"}, {"e1000", "extra_mac_registers", "off"},
    {"virtio-pci", "migrate-extra", "off"}, {"virtio-pci", "x-disable-pcie", "on"},
};
constexpr CompatProperty kTo2_3[] = {
    {"x86_64-cpu", "kvm-no-smi-migration", "on"}, {"x86_64-cpu", "arat", "off"},
    {"Broadwell-noTSX-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Broadwell-x86_64-cpu", "min-xlevel", "0x8000000a"}, {"Conroe-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Haswell-noTSX-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Haswell-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"IvyBridge-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Nehalem-x86_64-cpu", "min-xlevel", "0x8000000a"}, {"Penryn-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"SandyBridge-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Westmere-x86_64-cpu", "min-xlevel", "0x8000000a"}, {"n270-x86_64-cpu", "min-xlevel", "0x8000000a"},
    {"Conroe-x86_64-cpu", "min-level", "4"}, {"Penryn-x86_64-cpu", "min-level", "4"},
    {"Nehalem-x86_64-cpu", "min-level", "4"}, {"kvm64-x86_64-cpu", "min-level", "5"},
    {"n270-x86_64-cpu", "min-level", "5"}, {"pentium3-x86_64-cpu", "min-level", "2"},
    {"qemu64-x86_64-cpu", "min-level", "4"},
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.3.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.3.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.3.0"},
    {"pci-device", "x-pcie-lnksta-dllla", "off"}, {"virtio-balloon-device", "any_layout", "off"},
    {"virtio-rng-device", "any_layout", "off"}, {"virtio-blk-device", "any_layout", "off"},
    {"virtio-serial-device", "any_layout", "off"},
};
constexpr CompatProperty kTo2_2[] = {
    {"Broadwell-x86_64-cpu", "f16c", "off"}, {"Broadwell-x86_64-cpu", "rdrand", "off"},
    {"Haswell-x86_64-cpu", "f16c", "off"}, {"Haswell-x86_64-cpu", "rdrand", "off"},
    {"Broadwell-x86_64-cpu", "vme", "off"}, {"Conroe-x86_64-cpu", "vme", "off"},
    {"Haswell-x86_64-cpu", "vme", "off"}, {"Nehalem-x86_64-cpu", "vme", "off"},
    {"Opteron_G1-x86_64-cpu", "vme", "off"}, {"Opteron_G2-x86_64-cpu", "vme", "off"},
    {"Opteron_G3-x86_64-cpu", "vme", "off"}, {"Opteron_G4-x86_64-cpu", "vme", "off"},
    {"Opteron_G5-x86_64-cpu", "vme", "off"}, {"Penryn-x86_64-cpu", "vme", "off"},
    {"SandyBridge-x86_64-cpu", "vme", "off"}, {"Westmere-x86_64-cpu", "vme", "off"},
    {"kvm32-x86_64-cpu", "vme", "off"}, {"kvm64-x86_64-cpu", "vme", "off"},
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.2.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.2.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.2.0"},
};
constexpr CompatProperty kTo2_1[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.1.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.1.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.1.0"},
    {"core2duo-x86_64-cpu", "vmx", "on"}, {"coreduo-x86_64-cpu", "vmx", "on"},
    {"intel-hda", "old_msi_addr", "on"}, {"VGA", "qemu-extended-regs", "off"},
    {"secondary-vga", "qemu-extended-regs", "off"}, {"usb-kbd", "usb_version", "1"},
    {"usb-mouse", "usb_version", "1"}, {"virtio-scsi-device", "any_layout", "off"},
    {"virtio-pci", "virtio-pci-bus-master-bug-migration", "on"},
};
constexpr CompatProperty kTo2_0[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.0.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.0.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 2.0.0"},
    {"PIIX4_PM", "memory-hotplug-support", "off"}, {"nec-usb-xhci", "force-pcie-endcap", "on"},
    {"nec-usb-xhci", "superspeed-ports-first", "off"}, {"pci-serial", "prog_if", "0"},
    {"virtio-net-device", "guest_announce", "off"},
};
constexpr CompatProperty kTo1_7[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.7.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.7.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.7.0"},
    {"PIIX4_PM", "acpi-pci-hotplug-with-bridge-support", "off"}, {"usb-device", "msos-desc", "off"},
};
constexpr CompatProperty kTo1_6[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.6.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.6.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.6.0"},
    {"qemu32-x86_64-cpu", "model", "3"}, {"qemu64-x86_64-cpu", "model", "2"},
    {"i440FX-pcihost", "short_root_bus", "1"}, {"e1000", "mitigation", "off"},
};
constexpr CompatProperty kTo1_5[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.5.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.5.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.5.0"}, {"x86_64-cpu", "pmu", "on"},
    {"Conroe-x86_64-cpu", "min-level", "2"}, {"Conroe-x86_64-cpu", "model", "2"},
    {"Nehalem-x86_64-cpu", "min-level", "2"}, {"Nehalem-x86_64-cpu", "model", "2"},
    {"Penryn-x86_64-cpu", "min-level", "2"}, {"Penryn-x86_64-cpu", "model", "2"},
    {"i440FX-pcihost", "short_root_bus", "0"}, {"virtio-net-device", "any_layout", "off"},
};
constexpr CompatProperty kTo1_4[] = {
    {"qemu64-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.4.0"},
    {"qemu32-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.4.0"},
    {"athlon-x86_64-cpu", "model-id", "QEMU Virtual CPU version 1.4.0"}, {"486-x86_64-cpu", "model", "0"},
    {"Westmere-x86_64-cpu", "pclmulqdq", "off"}, {"n270-x86_64-cpu", "movbe", "off"},
    {"virtio-net-device", "ctrl_guest_offloads", "off"}, {"virtio-serial-pci", "vectors", "32"},
    {"e1000", "romfile", "pxe-e1000.rom"}, {"rtl8139", "romfile", "pxe-rtl8139.rom"},
    {"virtio-net-pci", "romfile", "pxe-virtio.rom"},
};
// clang-format on

constexpr PcVersion kVersions[kPcVersions] = {
    {.machine = "pc-i440fx-7.2", .type = "pc-i440fx-7.2-machine", .changes = {}},
    {.machine = "pc-i440fx-7.1", .type = "pc-i440fx-7.1-machine", .changes = kTo7_1},
    {.machine = "pc-i440fx-7.0", .type = "pc-i440fx-7.0-machine", .changes = {}},
    {.machine = "pc-i440fx-6.2", .type = "pc-i440fx-6.2-machine", .changes = kTo6_2},
    {.machine = "pc-i440fx-6.1", .type = "pc-i440fx-6.1-machine", .changes = kTo6_1},
    {.machine = "pc-i440fx-6.0", .type = "pc-i440fx-6.0-machine", .changes = kTo6_0},
    {.machine = "pc-i440fx-5.2", .type = "pc-i440fx-5.2-machine", .changes = kTo5_2},
    {.machine = "pc-i440fx-5.1", .type = "pc-i440fx-5.1-machine", .changes = kTo5_1},
    {.machine = "pc-i440fx-5.0", .type = "pc-i440fx-5.0-machine", .changes = kTo5_0, .numa_mem = true},
    {.machine = "pc-i440fx-4.2", .type = "pc-i440fx-4.2-machine", .changes = kTo4_2, .numa_mem = true},
    {.machine = "pc-i440fx-4.1", .type = "pc-i440fx-4.1-machine", .changes = kTo4_1, .numa_mem = true},
    {.machine = "pc-i440fx-4.0", .type = "pc-i440fx-4.0-machine", .changes = kTo4_0, .numa_mem = true},
    {.machine = "pc-i440fx-3.1", .type = "pc-i440fx-3.1-machine", .changes = kTo3_1, .numa_mem = true},
    {.machine = "pc-i440fx-3.0", .type = "pc-i440fx-3.0-machine", .changes = kTo3_0, .numa_mem = true},
    {.machine = "pc-i440fx-2.12", .type = "pc-i440fx-2.12-machine", .changes = kTo2_12, .numa_mem = true},
    {.machine = "pc-i440fx-2.11", .type = "pc-i440fx-2.11-machine", .changes = kTo2_11, .numa_mem = true},
    {.machine = "pc-i440fx-2.10", .type = "pc-i440fx-2.10-machine", .changes = kTo2_10, .numa_mem = true},
    {.machine = "pc-i440fx-2.9", .type = "pc-i440fx-2.9-machine", .changes = kTo2_9, .numa_mem = true},
    {.machine = "pc-i440fx-2.8", .type = "pc-i440fx-2.8-machine", .changes = kTo2_8, .numa_mem = true},
    {.machine = "pc-i440fx-2.7", .type = "pc-i440fx-2.7-machine", .changes = kTo2_7, .numa_mem = true},
    {.machine = "pc-i440fx-2.6", .type = "pc-i440fx-2.6-machine", .changes = kTo2_6, .numa_mem = true},
    {.machine = "pc-i440fx-2.5", .type = "pc-i440fx-2.5-machine", .changes = kTo2_5, .numa_mem = true},
    {.machine = "pc-i440fx-2.4", .type = "pc-i440fx-2.4-machine", .changes = kTo2_4, .numa_mem = true},
    {.machine = "pc-i440fx-2.3", .type = "pc-i440fx-2.3-machine", .changes = kTo2_3, .numa_mem = true},
    {.machine = "pc-i440fx-2.2", .type = "pc-i440fx-2.2-machine", .changes = kTo2_2, .numa_mem = true},
    {.machine = "pc-i440fx-2.1",
     .type = "pc-i440fx-2.1-machine",
     .changes = kTo2_1,
     .numa_mem = true,
     .kvm_hides_svm = false},
    {.machine = "pc-i440fx-2.0",
     .type = "pc-i440fx-2.0-machine",
     .changes = kTo2_0,
     .numa_mem = true,
     .kvm_hides_svm = false},
    {.machine = "pc-i440fx-1.7",
     .type = "pc-i440fx-1.7-machine",
     .changes = kTo1_7,
     .deprecated = true,
     .numa_mem = true,
     .gigabyte_align = false,
     .small_firmware = true,
     .kvm_x2apic = false,
     .kvm_hides_svm = false},
    {.machine = "pc-i440fx-1.6",
     .type = "pc-i440fx-1.6-machine",
     .changes = kTo1_6,
     .deprecated = true,
     .numa_mem = true,
     .gigabyte_align = false,
     .small_firmware = true,
     .kvm_x2apic = false,
     .kvm_hides_svm = false},
    {.machine = "pc-i440fx-1.5",
     .type = "pc-i440fx-1.5-machine",
     .changes = kTo1_5,
     .deprecated = true,
     .numa_mem = true,
     .gigabyte_align = false,
     .small_firmware = true,
     .kvm_x2apic = false,
     .kvm_hides_svm = false},
    {.machine = "pc-i440fx-1.4",
     .type = "pc-i440fx-1.4-machine",
     .changes = kTo1_4,
     .deprecated = true,
     .numa_mem = true,
     .gigabyte_align = false,
     .small_firmware = true,
     .kvm_x2apic = false,
     .kvm_hides_svm = false},
};

}  // namespace

std::span<const PcVersion> pc_versions() {
  return kVersions;
}

}  // namespace rhea
