// Accelerator "kvm": the host kernel's virtual machines (Linux, Documentation/virt/kvm/api.rst).
#pragma once

#include "accel/accel.h"

namespace rhea {

/// Opens /dev/kvm. Options: "kernel-irqchip" ("on"). Fails with `Could not access KVM kernel module: REASON`.
Result<std::unique_ptr<Accelerator>> create_kvm(const Json& options);

}  // namespace rhea
