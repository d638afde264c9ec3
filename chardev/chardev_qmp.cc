// QMP commands about character devices.
#include "chardev/chardev_set.h"
#include "qapi/qapi_commands_char.h"

namespace rhea {

Result<std::vector<ChardevInfo>> qmp_query_chardev(QmpContext& ctx) {
  std::vector<ChardevInfo> out;
  for (ChardevState& state : ctx.chardevs.snapshot()) {
    ChardevInfo& info = out.emplace_back();
    info.label = std::move(state.label);
    info.filename = std::move(state.filename);
    info.frontend_open = state.frontend_open;
  }
  return out;
}

Result<std::vector<ChardevBackendInfo>> qmp_query_chardev_backends(QmpContext&) {
  std::vector<ChardevBackendInfo> out;
  for (std::string_view name : ChardevSet::backends()) out.emplace_back().name = name;
  return out;
}

}  // namespace rhea
