// QMP: questions about parts that no machine here has yet, answered as a machine without them does.
#include "hw/core/machine.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qmp_context.h"

namespace rhea {

Result<ReplayInfo> qmp_query_replay(QmpContext&) {
  return ReplayInfo();
}

Result<HumanReadableText> qmp_x_query_opcount(QmpContext&) {
  return fail(ENOTSUP, "Opcode count information is only available with accel=tcg");
}

Result<HumanReadableText> qmp_x_query_jit(QmpContext&) {
  return fail(ENOTSUP, "JIT information is only available with accel=tcg");
}

Result<HumanReadableText> qmp_x_query_profile(QmpContext&) {
  return fail(ENOTSUP, "Internal profiler not compiled");
}

Result<HumanReadableText> qmp_x_query_rdma(QmpContext&) {
  return HumanReadableText();
}

Result<HumanReadableText> qmp_x_query_usb(QmpContext&) {
  return fail(ENODEV, "USB support not enabled");
}

}  // namespace rhea
