#include "hw/ide/drive_events.h"

#include <optional>

#include "block/graph/block_backend.h"
#include "qapi/qapi_events_block.h"

namespace rhea {

void send_tray_moved(const BlockBackend& backend, bool open) {
  qapi_event_send_device_tray_moved(backend.name(), backend.device_id_or_path(), open);
}

void send_read_error(const BlockBackend& backend, bool ignored, int errnum) {
  std::optional<std::string> node;
  if (backend.node() != nullptr) node = backend.node()->name();
  qapi_event_send_block_io_error(backend.name(), node, IoOperationType::kRead,
                                 ignored ? BlockErrorAction::kIgnore : BlockErrorAction::kReport,
                                 std::nullopt, errno_text(errnum));
}

}  // namespace rhea
