// The QMP events of a drive, apart from it: the generated headers are large.
#pragma once

#include <string_view>

namespace rhea {

class BlockBackend;

/// DEVICE_TRAY_MOVED of the device that holds `backend`.
void send_tray_moved(const BlockBackend& backend, bool open);

}  // namespace rhea
