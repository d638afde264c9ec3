// DEVICE_TRAY_MOVED, apart from the drive: the generated header and the block layer's have names in common.
#pragma once

#include <string_view>

namespace rhea {

/// `backend`: its name, may be empty; `id`: of the device, or its QOM path.
void send_tray_moved(std::string_view backend, std::string_view id, bool open);

}  // namespace rhea
