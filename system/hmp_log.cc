// HMP commands about the log and trace events: log, logfile, trace-event, info trace-events.
#include "qapi/hmp_registry.h"
#include "system/hmp_machine.h"
#include "util/log.h"

namespace rhea {

namespace {

Result<> hmp_log(HmpCall& call) {
  const std::string_view items = call.str("items");
  if (items == "none")
    log_disable_all();
  else if (items == "help" || !log_enable(str_cat("none,", items)))
    call.print(log_items_help());
  return {};
}

Result<> hmp_logfile(HmpCall& call) {
  if (Result<> done = log_to_file(std::string(call.str("filename"))); !done)
    call.print(done.error().message(), "\n");
  return {};
}

Result<> hmp_trace_event(HmpCall& call) {
  const std::string_view name = call.str("name");
  if (trace_set(name, call.flag("option")) == 0 && name.find_first_of("*?") == std::string_view::npos)
    call.print("unknown event \"", name, "\"\n");
  return {};
}

Result<> hmp_info_trace_events(HmpCall& call) {
  const std::string_view name = call.has("name") ? call.str("name") : "*";
  const auto found = trace_points(name);
  if (found.empty() && name.find_first_of("*?") == std::string_view::npos)
    call.print("unknown event \"", name, "\"\n");
  for (const TracePoint* p : found) call.print(p->name(), " : state ", p->enabled() ? 1 : 0, "\n");
  return {};
}

constexpr HmpCommand kHmpLogCommands[] = {
    {.name = "log",
     .args = "items:s",
     .params = "item1[,...]",
     .help = "activate logging of the specified items",
     .run = hmp_log},
    {.name = "logfile",
     .args = "filename:F",
     .params = "filename",
     .help = "output logs to 'filename'",
     .run = hmp_logfile},
    {.name = "trace-event",
     .args = "name:s,option:b",
     .params = "name on|off",
     .help = "changes status of a specific trace event",
     .run = hmp_trace_event},
    {.name = "info trace-events",
     .args = "name:s?",
     .params = "[name]",
     .help = "show available trace-events & their state (name: event name pattern)",
     .run = hmp_info_trace_events},
};

}  // namespace

void register_log_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpLogCommands) registry.add(command);
}

}  // namespace rhea
