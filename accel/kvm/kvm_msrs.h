// Which model specific registers belong to a vCPU's state.
#pragma once

#include <cstdint>
#include <vector>

#include "accel/x86_state.h"
#include "util/result.h"

namespace rhea {

/// Those of the host's list that hold guest state, and the MTRRs.
std::vector<uint32_t> kvm_kept_msrs(int kvm_fd);
Result<> kvm_get_msrs(int vcpu_fd, const std::vector<uint32_t>& kept, X86State& state);
/// Registers that `state` does not name get their reset values.
Result<> kvm_set_msrs(int vcpu_fd, const std::vector<uint32_t>& kept, const X86State& state);

}  // namespace rhea
