#include "monitor/outcome_log.h"

#include <algorithm>

namespace rhea {

namespace {

size_t fingerprint_of(const Json& arguments) {
  return std::hash<std::string>()(arguments.dump());
}

}  // namespace

OutcomeLog::Record* OutcomeLog::find(std::string_view id) {
  const auto it = by_id_.find(id);
  return it != by_id_.end() ? &*it->second : nullptr;
}

OutcomeLog::Record& OutcomeLog::begin(std::string_view id, std::string_view command, const Json& arguments) {
  Record record;
  record.id = id;
  record.command = command;
  record.fingerprint = fingerprint_of(arguments);
  records_.push_back(std::move(record));
  by_id_[records_.back().id] = std::prev(records_.end());
  if (records_.size() > kMaxRecords) forget_oldest();
  return records_.back();
}

/// Of those that have ended.
void OutcomeLog::forget_oldest() {
  const auto oldest =
      std::ranges::find_if(records_, [](const Record& r) { return r.state != CommandState::kRunning; });
  if (oldest == records_.end()) return;
  bytes_ -= oldest->reply.size() + oldest->error.size();
  by_id_.erase(oldest->id);
  records_.erase(oldest);
  ++forgotten_;
}

void OutcomeLog::finish(Record& record, const Result<>& result, std::string_view reply) {
  record.state = result ? CommandState::kDone : CommandState::kFailed;
  if (!result) {
    record.error_class = error_class_name(result.error().error_class());
    record.error = result.error().message();
  } else if (reply.size() <= kMaxReply) {
    record.reply = reply;
  } else {
    record.reply_kept = false;
  }
  bytes_ += record.reply.size() + record.error.size();
  while (bytes_ > kMaxBytes && records_.size() > 1) forget_oldest();
}

bool OutcomeLog::same(const Record& record, std::string_view command, const Json& arguments) {
  return record.command == command && record.fingerprint == fingerprint_of(arguments);
}

bool qmp_only_asks(std::string_view command) {
  constexpr std::string_view kPrefixes[] = {"query-", "x-query-", "qom-list", "x-debug-query-"};
  constexpr std::string_view kNames[] = {"device-list-properties", "qmp_capabilities", "qom-get",
                                         "trace-event-get-state"};
  return std::ranges::any_of(kPrefixes, [&](std::string_view p) { return command.starts_with(p); }) ||
         std::ranges::find(kNames, command) != std::end(kNames);
}

}  // namespace rhea
