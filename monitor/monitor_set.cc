#include "monitor/monitor_set.h"

#include <algorithm>

#include "chardev/char_options.h"
#include "chardev/chardev_set.h"
#include "monitor/hmp_session.h"
#include "monitor/qmp_session.h"
#include "util/str.h"

namespace rhea {

MonitorSet::MonitorSet(AioContext& loop, const QmpContext& context, std::span<const QmpCommand> commands)
    : loop_(loop),
      context_(context),
      commands_(commands),
      events_(
          loop,
          {.plain = [this](std::string_view name, std::string_view line) { send_event(name, line, false); },
           .numbered = [this](std::string_view name, std::string_view line) { send_event(name, line, true); },
           .wants_numbered =
               [this] {
                 return std::ranges::any_of(qmp_, [](const auto& s) { return s->numbers_events(); });
               }}) {
  set_qapi_event_sink(&events_);
}

MonitorSet::~MonitorSet() {
  set_qapi_event_sink(nullptr);
}

void MonitorSet::send_event(std::string_view name, std::string_view line, bool numbered) {
  for (auto& session : qmp_)
    if (session->numbers_events() == numbered && session->wants_event(name)) session->send_event(line);
}

Result<> MonitorSet::create(std::string_view chardev_id, MonitorMode mode, bool pretty) {
  Chardev* chardev = context_.chardevs.find(chardev_id);
  if (chardev == nullptr) return fail(ENOENT, "chardev \"", chardev_id, "\" not found");
  if (mode == MonitorMode::kReadline) {
    if (pretty) return fail(EINVAL, "'pretty' is not compatible with HMP monitors");
    hmp_.push_back(std::make_unique<HmpSession>(loop_, context_));
    hmp_.back()->set_held(held_);
    auto attached = hmp_.back()->attach(*chardev);
    if (!attached) hmp_.pop_back();
    return attached;
  }
  qmp_.push_back(std::make_unique<QmpSession>(loop_, context_, commands_, pretty));
  qmp_.back()->set_held(held_);
  auto attached = qmp_.back()->attach(*chardev);
  if (!attached) qmp_.pop_back();
  return attached;
}

Result<> MonitorSet::create_from_options(std::string_view text) {
  CharOptions options = TRY(CharOptions::parse(text));
  std::string id = options.take("chardev", options.backend());
  const std::string mode = options.take("mode", "readline");
  const bool pretty = TRY(options.take_bool("pretty", false));
  options.take("id");
  TRY(options.check_all_taken());
  if (mode != "readline" && mode != "control")
    return fail(EINVAL, "Parameter 'mode' does not accept value '", mode, "'");
  if (id.empty()) return fail(EINVAL, "Parameter 'chardev' is missing");
  return create(id, mode == "control" ? MonitorMode::kControl : MonitorMode::kReadline, pretty);
}

Result<> MonitorSet::create_legacy(std::string_view spec, MonitorMode mode, bool pretty) {
  const std::string label = str_cat("compat_monitor", compat_count_);
  Chardev* chardev = TRY(context_.chardevs.add_legacy(label, spec));
  if (chardev == nullptr) return {};
  if (chardev->label() == label) ++compat_count_;
  return create(chardev->label(), mode, pretty);
}

void MonitorSet::release() {
  held_ = false;
  for (auto& session : qmp_) session->set_held(false);
  for (auto& session : hmp_) session->set_held(false);
}

void MonitorSet::flush() {
  for (auto& session : qmp_) session->flush();
}

CoResult<> MonitorSet::co_stop() {
  for (auto& session : qmp_) {
    auto done = session->co_stop();
    std::ignore = co_await std::move(done);  // it cannot fail
  }
  for (auto& session : hmp_) {
    auto done = session->co_stop();
    std::ignore = co_await std::move(done);
  }
  co_return {};
}

}  // namespace rhea
