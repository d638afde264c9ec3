// What the accelerators share and others need not see.
#pragma once

#include "accel/accel.h"

namespace rhea {

inline constexpr int kBadAccelOption = ENOPROTOOPT;  ///< errno of an option that is no good: no fallback then

/// Called by init() and the destructor of an accelerator.
void set_machine_accelerator(Accelerator* accel);

}  // namespace rhea
