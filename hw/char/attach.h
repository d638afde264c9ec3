// What a device with a "chardev" property does with it.
#pragma once

#include <string>

#include "chardev/char_frontend.h"
#include "hw/core/device.h"

namespace rhea {

/// Attaches `frontend` to the character device named by `label`, the value of `device`'s property "chardev".
/// Empty: does nothing. Errors: `Property 'TYPE.chardev' can't find value 'ID'`, and those of
/// CharFrontend::attach().
Result<> attach_chardev(DeviceContext& context, const Device& device, const std::string& label,
                        CharFrontend& frontend);

}  // namespace rhea
