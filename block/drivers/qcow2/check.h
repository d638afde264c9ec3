// Checking and repairing an image: counts every reference anew and compares.
#pragma once

#include "block/drivers/qcow2/image.h"

namespace rhea::qcow2 {

/// Nothing may be in flight; what is changed in memory must have been written. Fails only if it cannot work
/// at all.
CoResult<CheckResult> co_check(Image& image, CheckOptions options);

}  // namespace rhea::qcow2
