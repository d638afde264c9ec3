// -device and device_add: from options to a device on its bus.
#pragma once

#include "hw/core/device.h"

namespace rhea {

/// Makes the device that `options` ("driver", "id", "bus" and its properties) describe. `hotplug`: the
/// machine has been built. Errors are QEMU's: `'x' is not a valid device model name`, `Bus 'x' not found`,
/// `Duplicate device ID 'x'` …; nothing is left after one. A device without an id becomes a child of
/// `anonymous_parent`. Main loop.
CoResult<std::shared_ptr<Device>> co_device_add(DeviceContext& context, Json options, ValueForm form,
                                                bool hotplug,
                                                const char* anonymous_parent = "/machine/peripheral-anon");

/// What device_add works with while a machine stands. Main loop.
DeviceContext* device_context();
void set_device_context(DeviceContext* context);

/// `-device help`, and `-device TYPE,help`.
std::string device_help();
Result<std::string> device_type_help(std::string_view driver);
/// `info qdm`: the models, those that only a machine makes included.
std::string device_models_text();

/// Whether nothing in `type` itself keeps its devices from coming to a machine that runs.
bool can_be_plugged(const TypeInfo& type);

}  // namespace rhea
