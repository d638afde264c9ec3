// Accelerator "qtest": no processor runs; a test program drives the machine over a socket instead.
#pragma once

#include "accel/accel.h"

namespace rhea {

/// Takes no options. The virtual clock moves only when it is stepped, from init() on.
Result<std::unique_ptr<Accelerator>> create_qtest(const Json& options);

/// "none": for a machine without processors, which only answers questions. Time goes on.
std::unique_ptr<Accelerator> create_idle();

}  // namespace rhea
