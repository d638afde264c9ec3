#include "block/qmp/io_error.h"

#include "block/graph/block_graph.h"
#include "qapi/qapi_events_block.h"

namespace rhea {

namespace {
BlockErrorAction event_action(IoErrorAction action) {
  switch (action) {
    case IoErrorAction::kIgnore:
      return BlockErrorAction::kIgnore;
    case IoErrorAction::kStop:
      return BlockErrorAction::kStop;
    case IoErrorAction::kReport:
      break;
  }
  return BlockErrorAction::kReport;
}
}  // namespace

IoErrorAction handle_io_error(BlockBackend& backend, bool is_read, int errnum) {
  const IoErrorAction action = backend.error_action(is_read, errnum);
  // The status is there before the event, and the event before STOP: who hears of one asks for the other.
  if (action == IoErrorAction::kStop && backend.iostatus_enabled()) backend.set_iostatus_error(errnum);
  std::optional<std::string> node;
  if (backend.node() != nullptr) node = backend.node()->name();
  std::optional<bool> nospace;
  if (backend.iostatus_enabled()) nospace = errnum == ENOSPC;
  qapi_event_send_block_io_error(backend.name(), node,
                                 is_read ? IoOperationType::kRead : IoOperationType::kWrite,
                                 event_action(action), nospace, errno_text(errnum));
  if (action == IoErrorAction::kStop && backend.graph().stop_machine) backend.graph().stop_machine();
  return action;
}

}  // namespace rhea
