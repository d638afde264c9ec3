// KVM's counters, through the descriptor that KVM_GET_STATS_FD gives.
// Spec: Linux, Documentation/virt/kvm/api.rst, section 4.133.
#pragma once

#include "accel/counters.h"
#include "util/result.h"

namespace rhea {

/// What `fd` tells now. Any thread.
Result<std::vector<AccelCounter>> kvm_read_counters(int fd);

}  // namespace rhea
