// The versions of the pc-i440fx machine: what each gave its guests that later ones do not.
#pragma once

#include <span>

#include "qom/globals.h"

namespace rhea {

struct PcVersion {
  const char* machine;                      ///< "pc-i440fx-7.1"
  const char* type;                         ///< "pc-i440fx-7.1-machine"
  std::span<const CompatProperty> changes;  ///< from the next version to this
  bool deprecated = false;
  bool numa_mem = false;        ///< NUMA nodes may be told by their memory size alone
  bool gigabyte_align = true;   ///< RAM above 4 GiB begins at a whole GiB of RAM
  bool small_firmware = false;  ///< the firmware is one of 128 KiB
  bool kvm_x2apic = true;       ///< under KVM every CPU model has x2apic
  bool kvm_hides_svm = true;    ///< under KVM no CPU model has svm unless asked for
};
/// Newest first; the first is the machine called "pc".
std::span<const PcVersion> pc_versions();
inline constexpr size_t kPcVersions = 31;

}  // namespace rhea
