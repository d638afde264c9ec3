// QMP: rtc-reset-reinjection.
#include "hw/rtc/mc146818.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qmp_context.h"

namespace rhea {

Result<> qmp_rtc_reset_reinjection(QmpContext& ctx) {
  for_each_device(ctx.qom.container("/machine"), [](Device& d) {
    if (auto* rtc = dynamic_cast<Mc146818*>(&d)) rtc->forget_lost_ticks();
  });
  return {};
}

}  // namespace rhea
