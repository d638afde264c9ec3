// Options that say what becomes of the machine when the guest reboots, ends, panics or hangs.
#include "qapi/qapi_types_runstate.h"
#include "system/option_handlers.h"

namespace rhea {

namespace {

template <class E>
Result<> set_action(const Fields& f, std::string_view key, E& action) {
  const std::string* text = f.find(key);
  if (text == nullptr) return {};
  const std::optional<E> value = from_string<E>(*text);
  if (!value) return fail(EINVAL, "Parameter '", key, "' does not accept value '", *text, "'");
  action = *value;
  return {};
}

}  // namespace

Result<> opt_action(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, "action"));
  TRY(set_action(f, "reboot", c.actions.reboot));
  TRY(set_action(f, "shutdown", c.actions.shutdown));
  TRY(set_action(f, "panic", c.actions.panic));
  return set_action(f, "watchdog", c.actions.watchdog);
}

Result<> opt_watchdog_action(CommandLine& c, std::string_view text) {
  return opt_action(c, str_cat("watchdog=", text));
}

Result<> opt_no_reboot(CommandLine& c, std::string_view) {
  c.actions.reboot = RebootAction::kShutdown;
  return {};
}

Result<> opt_no_shutdown(CommandLine& c, std::string_view) {
  c.actions.shutdown = ShutdownAction::kPause;
  return {};
}

}  // namespace rhea
