// What becomes of a drive's failed request: the policy's answer, the event, the stop of the machine.
#pragma once

#include "block/graph/block_backend.h"

namespace rhea {

/// A request the guest made of `backend` failed with `errnum`. Sends BLOCK_IO_ERROR; for kStop also notes the
/// I/O status and has the machine stopped: the device keeps the request until machine_resumed(). Main loop or
/// a vCPU, under the machine lock.
IoErrorAction handle_io_error(BlockBackend& backend, bool is_read, int errnum);

}  // namespace rhea
