// What each option of the command line does with its argument: sets fields of a CommandLine, or fails with a
// phrase that names the parameter. The table in command_line.cc lists them.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "qapi/option.h"
#include "system/command_line.h"
#include "system/option_groups.h"

namespace rhea {

/// The values of one option's lax syntax, checked against the parameters of its group (option_groups.h) and
/// "id", which any option may have.
class Fields {
 public:
  static Result<Fields> parse(std::string_view text, std::string_view implied, std::string_view group) {
    const OptionGroup* known = find_option_group(group);
    Keyval kv = TRY(keyval_parse_flat(text, implied));
    for (const auto& [key, value] : kv.values.as_object())
      if (known == nullptr || (key != "id" && known->find(key) == nullptr))
        return fail(EINVAL, "Invalid parameter '", key, "'");
    Fields f;
    f.values_ = std::move(kv.values);
    return f;
  }
  const std::string* find(std::string_view key) const {
    const Json* v = values_.find(key);
    return v != nullptr ? &v->as_string() : nullptr;
  }
  Result<std::optional<uint64_t>> number(std::string_view key, uint64_t max) const {
    const Json* v = values_.find(key);
    if (v == nullptr) return std::nullopt;
    return TRY(property_uint(key, *v, ValueForm::kKeyval, max));
  }
  Result<std::optional<int64_t>> signed_number(std::string_view key) const {
    const Json* v = values_.find(key);
    if (v == nullptr) return std::nullopt;
    return TRY(property_int(key, *v, ValueForm::kKeyval, INT64_MIN, INT64_MAX));
  }
  Result<bool> flag(std::string_view key, bool fallback) const {
    const Json* v = values_.find(key);
    return v != nullptr ? property_bool(key, *v, ValueForm::kKeyval) : Result<bool>(fallback);
  }

 private:
  Json values_;
};

/// An option written in JSON or key=value syntax; what its syntax warns of is said.
Result<OptionArgument> parse_tree(std::string_view text, std::string_view implied, OptionSyntax syntax);

// The machine (machine_options.cc).
Result<> opt_machine(CommandLine& c, std::string_view text);
Result<> opt_accel(CommandLine& c, std::string_view text);
Result<> opt_cpu(CommandLine& c, std::string_view text);
Result<> opt_memory(CommandLine& c, std::string_view text);
Result<> opt_numa(CommandLine& c, std::string_view text);
Result<> opt_smp(CommandLine& c, std::string_view text);
Result<> opt_boot(CommandLine& c, std::string_view text);
Result<> opt_name(CommandLine& c, std::string_view text);
Result<> opt_uuid(CommandLine& c, std::string_view text);
Result<> opt_rtc(CommandLine& c, std::string_view text);

// What the guest's reboot, power-off, panic and watchdog do (action_options.cc).
Result<> opt_action(CommandLine& c, std::string_view text);
Result<> opt_watchdog_action(CommandLine& c, std::string_view text);
Result<> opt_no_reboot(CommandLine& c, std::string_view text);
Result<> opt_no_shutdown(CommandLine& c, std::string_view text);

// What is connected to it (device_options.cc).
Result<> opt_object(CommandLine& c, std::string_view text);
Result<> opt_cdrom(CommandLine& c, std::string_view text);
Result<> opt_netdev(CommandLine& c, std::string_view text);
/// What -netdev and netdev_add take.
Result<OptionValue> parse_netdev(std::string_view text);
Result<> opt_nic(CommandLine& c, std::string_view text);
Result<> opt_net(CommandLine& c, std::string_view text);
/// -fda, -fdb: `index` 0 or 1.
Result<> opt_fd(CommandLine& c, int index, std::string_view text);
/// -hda to -hdd: `index` 0 to 3.
Result<> opt_hd(CommandLine& c, int index, std::string_view text);
Result<> opt_drive(CommandLine& c, std::string_view text);
Result<> opt_blockdev(CommandLine& c, std::string_view text);
Result<> opt_global(CommandLine& c, std::string_view text);
Result<> opt_device(CommandLine& c, std::string_view text);
Result<> opt_chardev(CommandLine& c, std::string_view text);
Result<> opt_serial(CommandLine& c, std::string_view text);
Result<> opt_monitor(CommandLine& c, std::string_view text);
Result<> opt_mon(CommandLine& c, std::string_view text);
Result<> opt_qmp(CommandLine& c, std::string_view text, bool pretty);

// The process (process_options.cc).
Result<> opt_add_fd(CommandLine& c, std::string_view text);
Result<> opt_overcommit(CommandLine& c, std::string_view text);
Result<> opt_audiodev(CommandLine& c, std::string_view text);

/// -readconfig (read_config.cc): sections such as `[device "ID"]` with lines `name = "value"`, each of which
/// is one option.
Result<> opt_readconfig(CommandLine& c, std::string_view path);

/// What option `name` does with its argument; null: there is no such option, or it takes none.
using OptionHandler = Result<> (*)(CommandLine&, std::string_view);
OptionHandler find_option_handler(std::string_view name);
Result<> opt_sandbox(CommandLine& c, std::string_view text);
Result<> opt_runas(CommandLine& c, std::string_view text);

}  // namespace rhea
