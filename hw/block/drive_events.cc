#include "hw/block/drive_events.h"

#include "block/graph/block_backend.h"
#include "qapi/qapi_events_block.h"

namespace rhea {

void send_tray_moved(const BlockBackend& backend, bool open) {
  qapi_event_send_device_tray_moved(backend.name(), backend.device_id_or_path(), open);
}

}  // namespace rhea
