// QMP: the logs of events and of commands.
#include <algorithm>

#include "monitor/event_broker.h"
#include "monitor/qmp_session.h"
#include "qapi/qapi_commands_monitor.h"

namespace rhea {

namespace {

EventRecord record_of(const EmittedEvent& event) {
  EventRecord record;
  record.sequence = event.sequence;
  record.event = event.name;
  record.timestamp.seconds = event.time_us / 1'000'000;
  record.timestamp.microseconds = event.time_us % 1'000'000;
  if (!event.data.is_null()) record.data = event.data;
  return record;
}

CommandOutcome outcome_of(const OutcomeLog::Record& record) {
  CommandOutcome outcome;
  if (auto id = Json::parse(record.id)) outcome.id = std::move(*id);
  outcome.command = record.command;
  outcome.state = record.state;
  if (record.state == CommandState::kDone && record.reply_kept)
    if (auto value = Json::parse(record.reply)) outcome.return_ = std::move(*value);
  if (record.state == CommandState::kFailed) {
    CommandError error;
    error.class_ = record.error_class;
    error.desc = record.error;
    outcome.error = std::move(error);
  }
  return outcome;
}

}  // namespace

Result<EventLogInfo> qmp_query_event_log(QmpContext&, QueryEventLogArgs args) {
  const auto* broker = dynamic_cast<const EventBroker*>(qapi_event_sink());
  if (broker == nullptr) return fail(ENOTSUP, "No events are kept");
  const EventLog& log = broker->log();
  const bool other_run = args.run && *args.run != log.run();
  const uint64_t since = other_run ? 0 : args.since.value_or(0);
  EventLogInfo info;
  info.run = log.run();
  info.last = log.last();
  info.complete = !other_run && since <= log.last() && log.complete_since(since);
  log.for_each_since(since, [&](const EmittedEvent& event) { info.events.push_back(record_of(event)); });
  return info;
}

Result<CommandOutcomes> qmp_query_command_outcomes(QmpContext& ctx, QueryCommandOutcomesArgs args) {
  const auto* session = dynamic_cast<const QmpSession*>(ctx.session);
  if (session == nullptr) return fail(ENOTSUP, "There is no QMP connection");
  CommandOutcomes out;
  for (const OutcomeLog::Record& record : session->outcomes().records()) {
    CommandOutcome outcome = outcome_of(record);
    if (!args.ids || std::ranges::find(*args.ids, outcome.id) != args.ids->end())
      out.outcomes.push_back(std::move(outcome));
  }
  out.forgotten = session->outcomes().forgotten();
  return out;
}

}  // namespace rhea
