#include "hw/ide/tray_event.h"

#include "qapi/qapi_events_block.h"

namespace rhea {

void send_tray_moved(std::string_view backend, std::string_view id, bool open) {
  qapi_event_send_device_tray_moved(std::string(backend), std::string(id), open);
}

}  // namespace rhea
