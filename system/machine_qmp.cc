// QMP: query-target.
#include "qapi/qapi_commands_machine.h"

namespace rhea {

Result<TargetInfo> qmp_query_target(QmpContext&) {
  TargetInfo info;
  info.arch = SysEmuTarget::kX8664;
  return info;
}

}  // namespace rhea
