// QMP: trace events.
#include "qapi/qapi_commands_trace.h"
#include "util/log.h"

namespace rhea {

namespace {

/// The events that a client's name or pattern means.
Result<std::vector<const TracePoint*>> find_points(const std::string& name) {
  auto points = trace_points(name);
  if (points.empty() && name.find_first_of("*?") == std::string::npos)
    return fail(ENOENT, "unknown event \"", name, "\"");
  return points;
}

}  // namespace

Result<std::vector<TraceEventInfo>> qmp_trace_event_get_state(QmpContext&, TraceEventGetStateArgs args) {
  if (args.vcpu) return fail(EINVAL, "Events of a single vCPU are not available");
  std::vector<TraceEventInfo> out;
  for (const TracePoint* point : TRY(find_points(args.name))) {
    TraceEventInfo& info = out.emplace_back();
    info.name = point->name();
    info.state = point->enabled() ? TraceEventState::kEnabled : TraceEventState::kDisabled;
    info.vcpu = false;
  }
  return out;
}

Result<> qmp_trace_event_set_state(QmpContext&, TraceEventSetStateArgs args) {
  if (args.vcpu) return fail(EINVAL, "Events of a single vCPU are not available");
  TRY(find_points(args.name));
  trace_set(args.name, args.enable);
  return {};
}

}  // namespace rhea
