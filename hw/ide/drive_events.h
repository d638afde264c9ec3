// The QMP events of a drive, apart from it: the generated headers are large.
#pragma once

#include <string_view>

namespace rhea {

class BlockBackend;

/// DEVICE_TRAY_MOVED of the device that holds `backend`.
void send_tray_moved(const BlockBackend& backend, bool open);
/// BLOCK_IO_ERROR of a read that failed; `ignored`: the guest sees zeroes instead.
void send_read_error(const BlockBackend& backend, bool ignored, int errnum);

}  // namespace rhea
