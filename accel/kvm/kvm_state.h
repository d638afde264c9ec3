// A vCPU's state in KVM's structures, read and written.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "accel/x86_state.h"
#include "util/result.h"

namespace rhea {

/// What of the VM decides how a vCPU's state is read and written. One for all vCPUs.
struct KvmStateShape {
  bool kernel_lapic = false;
  bool has_xsave = false, has_xcrs = false, has_debugregs = false, has_payload = false, has_tsc_khz = false;
  size_t xsave_bytes = 4096;
  std::vector<uint32_t> msrs;  ///< those that are kept
  /// Asks the host what it has.
  static KvmStateShape probe(int kvm_fd, int vm_fd, bool kernel_lapic);
};

/// On the vCPU's thread, out of the guest.
Result<X86State> kvm_get_state(int vcpu_fd, const KvmStateShape& shape);
Result<> kvm_set_state(int vcpu_fd, const KvmStateShape& shape, const X86State& state);
/// Between the exit of a port access and the entry that completes it: see Vcpu::change_registers().
Result<> kvm_change_registers(int vcpu_fd, const std::function<void(std::array<uint64_t, 16>&)>& fn);

}  // namespace rhea
