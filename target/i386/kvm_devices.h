// The interrupt controllers, the timer and the clock that KVM keeps in the kernel, as objects of the machine:
// so that their state is saved and loaded like any other device's.
#pragma once

#include "accel/accel.h"
#include "hw/core/device.h"

namespace rhea {

/// Makes an object for each that `accel` has, as children "device[*]" of `parent`; none without a kernel
/// irqchip. `accel` must outlive them. Accelerator::reset() resets them.
Result<> create_kernel_devices(Accelerator& accel, Object& parent);

/// Makes their types known.
void register_kernel_device_types(TypeRegistry& registry);

}  // namespace rhea
