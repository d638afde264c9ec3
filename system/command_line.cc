#include "system/command_line.h"

#include <time.h>

#include <algorithm>
#include <functional>

#include "chardev/chardev_set.h"
#include "hw/core/device_add.h"
#include "qapi/option.h"
#include "target/i386/cpu_model.h"
#include "util/keyval.h"
#include "util/log.h"

namespace rhea {

namespace {

/// The values of one option's lax syntax, checked against the keys it knows. "help" asks for the keys.
class Fields {
 public:
  static Result<Fields> parse(std::string_view text, std::string_view implied,
                              std::initializer_list<std::string_view> known) {
    Keyval kv = TRY(keyval_parse_flat(text, implied));
    for (const auto& [key, value] : kv.values.as_object())
      if (std::ranges::find(known, key) == known.end()) return fail(EINVAL, "Invalid parameter '", key, "'");
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
  Result<bool> flag(std::string_view key, bool fallback) const {
    const Json* v = values_.find(key);
    return v != nullptr ? property_bool(key, *v, ValueForm::kKeyval) : Result<bool>(fallback);
  }

 private:
  Json values_;
};

/// An option written in JSON or key=value syntax; what its syntax warns of is said.
Result<OptionArgument> parse_tree(std::string_view text, std::string_view implied, OptionSyntax syntax) {
  OptionArgument argument = TRY(parse_option(text, implied, syntax));
  for (const auto& [warning, advice] : argument.warnings) {
    warn_report(warning);
    if (!advice.empty()) info_report(advice);
  }
  return argument;
}

Result<> opt_machine(CommandLine& c, std::string_view text) {
  Keyval kv = TRY(keyval_parse_flat(text, "type"));
  if (kv.help || text == "help" || text == "?") {
    std::string out = "Supported machines are:\n";
    for (const MachineClass* m : machine_classes()) {
      auto line = [&](std::string_view name, const std::string& description) {
        std::string padded(name);
        padded.resize(std::max<size_t>(padded.size(), 20), ' ');
        str_append(out, padded, " ", description, "\n");
      };
      if (m->alias != nullptr) line(m->alias, str_cat(m->description, " (alias of ", m->name, ")"));
      line(m->name, str_cat(m->description, m->is_default ? " (default)" : ""));
    }
    c.answer = std::move(out);
    return {};
  }
  for (const auto& [key, value] : kv.values.as_object()) {
    if (key == "type")
      c.machine_type = value.as_string();
    else if (key == "accel")
      c.accelerators = parse_accel_list(value.as_string());
    else
      c.machine_properties.emplace_back(key, value.as_string());
  }
  return {};
}

Result<> opt_accel(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = accelerators_help();
    return {};
  }
  Keyval kv = TRY(keyval_parse_flat(text, "accel"));
  const Json name = kv.values.take("accel");
  if (!name.is_string()) return fail(EINVAL, "Parameter 'accel' is missing");
  for (auto& request : parse_accel_list(name.as_string())) {
    request.options = kv.values;
    c.accelerators.push_back(std::move(request));
  }
  return {};
}

Result<> opt_cpu(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?")
    c.answer = cpu_models_help();
  else
    c.config.cpu_model = text;
  return {};
}

Result<> opt_memory(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "size", {"size", "slots", "maxmem"}));
  if (f.find("slots") != nullptr || f.find("maxmem") != nullptr)
    return fail(ENOTSUP, "memory hotplug ('slots' and 'maxmem') is not available");
  const std::string* size = f.find("size");
  uint64_t bytes = 0;
  if (size == nullptr || !parse_size(*size, bytes, 'M'))
    return fail(EINVAL, "Parameter 'size' expects a size");
  if (bytes == 0) bytes = uint64_t{128} << 20;
  c.config.ram_bytes = (bytes + 8191) & ~uint64_t{8191};
  return {};
}

Result<> opt_smp(CommandLine& c, std::string_view text) {
  const Fields f = TRY(
      Fields::parse(text, "cpus", {"cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads"}));
  std::array<uint64_t, 6> v{};
  constexpr std::string_view kKeys[] = {"cpus", "maxcpus", "sockets", "dies", "cores", "threads"};
  for (size_t i = 0; i < v.size(); ++i) {
    const auto n = TRY(f.number(kKeys[i], 4096));
    if (n && *n == 0)
      return fail(EINVAL, "Invalid CPU topology: CPU topology parameters must be greater than zero");
    v[i] = n.value_or(0);
  }
  if (const auto clusters = TRY(f.number("clusters", 4096)); clusters.value_or(1) > 1)
    return fail(ENOTSUP, "clusters not supported by this machine's CPU topology");
  auto [cpus, maxcpus, sockets, dies, cores, threads] = v;
  if (dies == 0) dies = 1;
  if (cpus == 0 && maxcpus == 0) {
    for (uint64_t* n : {&sockets, &cores, &threads})
      if (*n == 0) *n = 1;
  } else {
    if (maxcpus == 0) maxcpus = cpus;
    if (cores == 0) {
      if (sockets == 0) sockets = 1;
      if (threads == 0) threads = 1;
      cores = std::max<uint64_t>(maxcpus / (sockets * dies * threads), 1);
    } else if (sockets == 0) {
      if (threads == 0) threads = 1;
      sockets = std::max<uint64_t>(maxcpus / (dies * cores * threads), 1);
    }
    if (threads == 0) threads = std::max<uint64_t>(maxcpus / (sockets * dies * cores), 1);
  }
  if (maxcpus == 0) maxcpus = sockets * dies * cores * threads;
  if (cpus == 0) cpus = maxcpus;
  if (sockets * dies * cores * threads != maxcpus)
    return fail(EINVAL, "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (",
                sockets, ") * dies (", dies, ") * cores (", cores, ") * threads (", threads, ") != maxcpus (",
                maxcpus, ")");
  if (cpus > maxcpus)
    return fail(EINVAL, "Invalid CPU topology: maxcpus must be equal to or greater than smp: maxcpus (",
                maxcpus, ") < smp_cpus (", cpus, ")");
  auto n = [](uint64_t x) { return static_cast<unsigned>(x); };
  c.config.smp = {.cpus = n(cpus),
                  .max_cpus = n(maxcpus),
                  .sockets = n(sockets),
                  .dies = n(dies),
                  .cores = n(cores),
                  .threads = n(threads)};
  return {};
}

Result<> opt_object(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    std::string out = "List of user creatable objects:\n";
    for (const auto& [name, type] : TypeRegistry::instance().all())
      if (type->user_creatable && !type->is_a("device")) str_append(out, "  ", name, "\n");
    c.answer = std::move(out);
    return {};
  }
  OptionArgument argument = TRY(parse_tree(text, "qom-type", OptionSyntax::kLax));
  c.objects.push_back({std::move(argument.values), argument.form});
  return {};
}

Result<> check_boot_letters(std::string_view letters) {
  std::string seen;
  for (char ch : letters) {
    if (ch < 'a' || ch > 'p') return fail(EINVAL, "Invalid boot device '", ch, "'");
    if (seen.find(ch) != std::string::npos) return fail(EINVAL, "Boot device '", ch, "' was given twice");
    seen += ch;
  }
  return {};
}

Result<> opt_boot(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(
      text, "order", {"order", "once", "menu", "strict", "splash", "splash-time", "reboot-timeout"}));
  BootOptions& b = c.config.boot;
  if (const auto* s = f.find("order")) b.order = *s;
  if (const auto* s = f.find("once")) b.once = *s;
  TRY(check_boot_letters(b.order));
  TRY(check_boot_letters(b.once));
  b.menu = TRY(f.flag("menu", b.menu));
  b.strict = TRY(f.flag("strict", b.strict));
  if (f.find("splash") != nullptr)
    return fail(ENOTSUP, "a boot splash picture needs a display, which this build has not");
  if (const auto n = TRY(f.number("splash-time", 0xffff))) b.splash_time_ms = static_cast<uint16_t>(*n);
  if (const auto n = TRY(f.number("reboot-timeout", 0xffff))) b.reboot_timeout_ms = static_cast<uint32_t>(*n);
  return {};
}

Result<> opt_cdrom(CommandLine& c, std::string_view text) {
  c.drives.push_back({Json::object({{"if", "ide"}, {"index", "2"}, {"media", "cdrom"}, {"file", text}})});
  c.cdrom_given = true;
  return {};
}

Result<> opt_drive(CommandLine& c, std::string_view text) {
  Keyval kv = TRY(keyval_parse_flat(text));
  c.drives.push_back({std::move(kv.values)});
  return {};
}

Result<> opt_blockdev(CommandLine& c, std::string_view text) {
  OptionArgument argument = TRY(parse_tree(text, "driver", OptionSyntax::kStrict));
  c.blockdevs.push_back({std::move(argument.values), argument.form});
  return {};
}

Result<> opt_device(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = device_help();
    return {};
  }
  OptionArgument argument = TRY(parse_tree(text, "driver", OptionSyntax::kLax));
  if (argument.help) {
    const Json* driver = argument.values.find("driver");
    c.answer = TRY(device_type_help(driver != nullptr && driver->is_string() ? driver->as_string() : ""));
    return {};
  }
  c.devices.push_back({std::move(argument.values), argument.form});
  return {};
}

template <std::string MachineConfig::*Member>
Result<> opt_config_text(CommandLine& c, std::string_view text) {
  c.config.*Member = text;
  return {};
}

Result<> opt_directory(CommandLine& c, std::string_view text) {
  if (text == "help") {
    std::string out;
    for (const auto& d : c.config.data_directories) str_append(out, d, "\n");
    c.answer = std::move(out);
    return {};
  }
  c.config.data_directories.insert(c.config.data_directories.begin(), std::string(text));
  return {};
}

Result<> opt_chardev(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?")
    c.answer = ChardevSet::backends_help();
  else
    c.chardevs.emplace_back(text);
  return {};
}

Result<> opt_serial(CommandLine& c, std::string_view text) {
  c.serials.emplace_back(text);
  c.serial_given = true;
  if (c.serials.size() > 4) return fail(EINVAL, "at most 4 serial ports");
  return {};
}

Result<> opt_parallel(CommandLine&, std::string_view text) {
  if (text == "none") return {};
  return fail(ENOTSUP, "this machine has no parallel port; only 'none' is accepted");
}

Result<> opt_monitor(CommandLine& c, std::string_view text) {
  c.monitor_given = true;
  if (text != "none") c.monitors.push_back({.chardev = std::string(text)});
  return {};
}

template <bool Pretty>
Result<> opt_qmp(CommandLine& c, std::string_view text) {
  c.monitors.push_back({.chardev = std::string(text), .control = true, .pretty = Pretty});
  return {};
}

Result<> opt_mon(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "chardev", {"chardev", "mode", "pretty", "id", "default"}));
  const std::string* chardev = f.find("chardev");
  if (chardev == nullptr) return fail(EINVAL, "Parameter 'chardev' is missing");
  MonitorOption m{.chardev = *chardev, .by_id = true};
  if (const auto* mode = f.find("mode")) {
    if (*mode != "control" && *mode != "readline") return fail(EINVAL, "Invalid parameter '", *mode, "'");
    m.control = *mode == "control";
  }
  m.pretty = TRY(f.flag("pretty", false));
  if (m.pretty && !m.control) return fail(EINVAL, "'pretty' is not compatible with HMP monitors");
  c.monitors.push_back(std::move(m));
  c.monitor_given = true;
  return {};
}

Result<> opt_nographic(CommandLine& c, std::string_view) {
  c.nographic = true;
  c.config.graphics = false;
  return {};
}

Result<> opt_display(CommandLine& c, std::string_view text) {
  if (text == "none") return {};
  if (text == "help") {
    c.answer = "Available display backend types:\nnone\n";
    return {};
  }
  return fail(EINVAL, "display backend '", text, "' is not available; only 'none' is");
}

Result<> opt_vga(CommandLine&, std::string_view text) {
  if (text == "none") return {};
  return fail(EINVAL, "VGA interface '", text, "' is not available; only 'none' is");
}

template <bool CommandLine::*Member>
Result<> opt_flag(CommandLine& c, std::string_view) {
  c.*Member = true;
  return {};
}

template <std::string CommandLine::*Member>
Result<> opt_text(CommandLine& c, std::string_view text) {
  c.*Member = text;
  return {};
}

Result<> opt_nothing(CommandLine&, std::string_view) {
  return {};
}

Result<> opt_no_acpi(CommandLine& c, std::string_view) {
  c.config.acpi = false;
  return {};
}

Result<> opt_name(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "guest", {"guest", "process", "debug-threads"}));
  if (const auto* guest = f.find("guest")) c.config.guest_name = *guest;
  TRY(f.flag("debug-threads", true));  // threads always have names here
  return {};
}

int hex_digit(char ch) {
  if (ch >= '0' && ch <= '9') return ch - '0';
  if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
  if (ch >= 'A' && ch <= 'F') return ch - 'A' + 10;
  return -1;
}

Result<> opt_uuid(CommandLine& c, std::string_view text) {
  bool ok = text.size() == 36;
  size_t byte = 0;
  for (size_t i = 0; ok && i < text.size();) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      ok = text[i++] == '-';
      continue;
    }
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    ok = high >= 0 && low >= 0;
    c.config.uuid[byte++] = static_cast<uint8_t>(high << 4 | low);
    i += 2;
  }
  if (!ok) return fail(EINVAL, "failed to parse UUID string: wrong format");
  c.config.uuid_set = true;
  return {};
}

Result<> rtc_base(RtcOptions& rtc, const std::string& base) {
  if (base == "utc")
    rtc.base = RtcOptions::Base::kUtc;
  else if (base == "localtime")
    rtc.base = RtcOptions::Base::kLocaltime;
  else {
    tm t{};
    const char* end = strptime(base.c_str(), "%Y-%m-%dT%H:%M:%S", &t);
    if (end == nullptr || *end != 0) end = strptime(base.c_str(), "%Y-%m-%d", &t);
    if (end == nullptr || *end != 0)
      return fail(EINVAL, "invalid datetime format: '", base,
                  "' (valid formats: '2006-06-17T16:01:21' or '2006-06-17')");
    rtc.base = RtcOptions::Base::kDate;
    rtc.date_unix_s = timegm(&t);
  }
  return {};
}

Result<> opt_rtc(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, {"base", "clock", "driftfix"}));
  RtcOptions& rtc = c.config.rtc;
  if (const auto* base = f.find("base")) TRY(rtc_base(rtc, *base));
  if (const auto* clock = f.find("clock")) {
    if (*clock == "host")
      rtc.clock = RtcOptions::Source::kHost;
    else if (*clock == "rt")
      rtc.clock = RtcOptions::Source::kRealtime;
    else if (*clock == "vm")
      rtc.clock = RtcOptions::Source::kVirtual;
    else
      return fail(EINVAL, "invalid option value '", *clock, "'");
  }
  if (const auto* fix = f.find("driftfix")) {
    if (*fix != "none" && *fix != "slew") return fail(EINVAL, "invalid option value '", *fix, "'");
    rtc.driftfix_slew = *fix == "slew";
  }
  return {};
}

Result<> opt_trace(CommandLine&, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "enable", {"enable"}));
  const std::string* pattern = f.find("enable");
  return trace_enable(pattern != nullptr ? *pattern : std::string_view());
}

Result<> opt_log_file(CommandLine&, std::string_view text) {
  return log_to_file(std::string(text));
}

Result<> opt_log_items(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = log_items_help();
    return {};
  }
  return log_enable(text);
}

Result<> opt_msg(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, {"timestamp", "guest-name"}));
  log_set_timestamps(TRY(f.flag("timestamp", false)));
  if (TRY(f.flag("guest-name", false))) log_set_guest_name(c.config.guest_name);
  return {};
}

Result<> opt_version(CommandLine& c, std::string_view) {
  c.answer = "Rhea emulator version " RHEA_VERSION " (compatible with QEMU emulator version 7.2.0)\n";
  return {};
}

Result<> opt_help(CommandLine& c, std::string_view);

struct Option {
  const char* name;
  const char* argument;  ///< null: takes none
  const char* help;
  Result<> (*apply)(CommandLine&, std::string_view);
};

constexpr Option kOptions[] = {
    {"h", nullptr, nullptr, opt_help},
    {"help", nullptr, "display this help and exit", opt_help},
    {"version", nullptr, "display version information and exit", opt_version},
    {"machine", "[type=]name[,prop=value...]", "select the machine ('-machine help' for a list)",
     opt_machine},
    {"M", "name", nullptr, opt_machine},
    {"accel", "[accel=]name[,prop=value...]",
     "select the accelerator (kvm, qtest; 'a:b' falls back in order)", opt_accel},
    {"enable-kvm", nullptr, "the same as -accel kvm",
     [](CommandLine& c, std::string_view) -> Result<> { return opt_accel(c, "kvm"); }},
    {"cpu", "model[,feature...]", "select the CPU ('-cpu help' for a list)", opt_cpu},
    {"smp", "[cpus=]n[,maxcpus=][,sockets=][,dies=][,cores=][,threads=]",
     "set the number and topology of CPUs", opt_smp},
    {"m", "[size=]megs", "set the size of guest memory", opt_memory},
    {"object", "type,id=id[,prop=value...]", "create an object; JSON is accepted", opt_object},
    {"boot", "[order=drives][,once=][,menu=on|off][,strict=on|off]...",
     "set the boot order: a, c (disk), d (CD-ROM), n", opt_boot},
    {"cdrom", "file", "use 'file' as CD-ROM (master of the second IDE channel)", opt_cdrom},
    {"drive", "[file=file][,if=ide|none][,media=cdrom|disk][,id=name]...", "define a drive", opt_drive},
    {"blockdev", "[driver=]driver[,node-name=n]...", "define a block node; JSON is accepted", opt_blockdev},
    {"device", "driver[,prop=value...]",
     "add a device ('-device help', '-device driver,help'); JSON is accepted", opt_device},
    {"kernel", "bzImage", "use 'bzImage' as kernel image", opt_config_text<&MachineConfig::kernel>},
    {"append", "cmdline", "use 'cmdline' as kernel command line", opt_config_text<&MachineConfig::append>},
    {"initrd", "file", "use 'file' as initial ram disk", opt_config_text<&MachineConfig::initrd>},
    {"bios", "file", "set the firmware", opt_config_text<&MachineConfig::firmware>},
    {"L", "path", "add a directory for firmware", opt_directory},
    {"chardev", "backend,id=id[,...]", "define a character device ('-chardev help' for the backends)",
     opt_chardev},
    {"serial", "dev", "connect a serial port to a character device", opt_serial},
    {"parallel", "none", "this machine has no parallel port", opt_parallel},
    {"monitor", "dev", "put the human monitor on a character device", opt_monitor},
    {"qmp", "dev", "put a QMP monitor on a character device", opt_qmp<false>},
    {"qmp-pretty", "dev", "the same with indented output", opt_qmp<true>},
    {"mon", "[chardev=]id[,mode=readline|control][,pretty=on|off]", "put a monitor on chardev 'id'", opt_mon},
    {"debugcon", "dev", "connect the debug console (port 0xe9) to a character device",
     opt_config_text<&MachineConfig::debugcon_chardev>},
    {"nographic", nullptr, "no display; serial port and monitor on the terminal", opt_nographic},
    {"display", "none", "select the display", opt_display},
    {"vga", "none", "select the VGA card", opt_vga},
    {"nodefaults", nullptr, "do not create default devices", opt_flag<&CommandLine::nodefaults>},
    {"no-user-config", nullptr, "do not load user-provided configuration (there is none)", opt_nothing},
    {"no-acpi", nullptr, "disable ACPI", opt_no_acpi},
    {"name", "[guest=]name[,debug-threads=on|off]", "set the name of the guest", opt_name},
    {"uuid", "uuid", "set the machine's UUID", opt_uuid},
    {"S", nullptr, "do not start the CPUs (use 'cont' to start)", opt_flag<&CommandLine::start_paused>},
    {"no-reboot", nullptr, "exit instead of rebooting", opt_flag<&CommandLine::no_reboot>},
    {"no-shutdown", nullptr, "stop before shutdown", opt_flag<&CommandLine::no_shutdown>},
    {"daemonize", nullptr, "go to the background once the machine stands", opt_flag<&CommandLine::daemonize>},
    {"pidfile", "file", "write the process id to 'file'", opt_text<&CommandLine::pidfile>},
    {"rtc", "[base=utc|localtime|datetime][,clock=host|rt|vm][,driftfix=none|slew]", "set the clock's base",
     opt_rtc},
    {"trace", "[enable=]pattern", "turn on trace events", opt_trace},
    {"D", "logfile", "write the log to 'logfile'", opt_log_file},
    {"d", "item1,...", "enable logging of items ('-d help' for a list)", opt_log_items},
    {"msg", "[timestamp=on|off][,guest-name=on|off]", "control messages", opt_msg},
    {"qtest", "dev", "serve the qtest protocol on a character device", opt_text<&CommandLine::qtest>},
    {"qtest-log", "dev", "log the qtest protocol", opt_text<&CommandLine::qtest_log>},
};

Result<> opt_help(CommandLine& c, std::string_view) {
  c.answer = command_line_help("rhea");
  return {};
}

const Option* find_option(std::string_view name) {
  for (const auto& o : kOptions)
    if (name == o.name) return &o;
  return nullptr;
}

/// What a machine gets without -nodefaults and without being asked.
void add_defaults(CommandLine& c) {
  if (c.nographic && !c.daemonize) {
    if (!c.serial_given && !c.monitor_given && !c.nodefaults)
      c.serials.emplace_back("mon:stdio");
    else if (!c.serial_given && !c.nodefaults)
      c.serials.emplace_back("stdio");
    else if (!c.monitor_given && !c.nodefaults)
      c.monitors.push_back({.chardev = "stdio"});
  } else if (!c.serial_given && !c.nodefaults) {
    c.serials.emplace_back("null");
  }
  auto names_cd = [](const OptionValue& d) {
    const Json* driver = d.tree.find("driver");
    return driver != nullptr && driver->is_string() && driver->as_string() == "ide-cd";
  };
  const bool has_cd = c.cdrom_given || std::ranges::any_of(c.devices, names_cd);
  if (!c.nodefaults && !has_cd)
    c.drives.push_back({Json::object({{"if", "ide"}, {"index", "2"}, {"media", "cdrom"}})});
}

}  // namespace

std::string command_line_help(std::string_view program) {
  std::string out = str_cat("Rhea emulator version " RHEA_VERSION "\nusage: ", program, " [options]\n\n");
  for (const auto& o : kOptions) {
    if (o.help == nullptr) continue;
    std::string head =
        str_cat("-", o.name, o.argument != nullptr ? " " : "", o.argument != nullptr ? o.argument : "");
    if (head.size() < 24) {
      head.resize(24, ' ');
      str_append(out, head, o.help, "\n");
    } else {
      str_append(out, head, "\n                        ", o.help, "\n");
    }
  }
  return out;
}

Result<CommandLine> parse_command_line(int argc, char** argv) {
  CommandLine c;
  c.config.data_directories = {"/usr/share/seabios", "/usr/share/qemu"};
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with('-') || word == "-")
      return fail(EINVAL, word, ": a disk image as the first argument is not available; use -drive");
    const std::string shown(word);
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const Option* option = find_option(word);
    if (option == nullptr) return fail(EINVAL, shown, ": invalid option");
    std::string_view argument;
    if (option->argument != nullptr) {
      if (i + 1 >= argc) return fail(EINVAL, shown, ": requires an argument");
      argument = argv[++i];
    }
    Result<> r = option->apply(c, argument);
    if (!r)
      return Failure(std::move(r).error().prepend(argument.empty() ? shown + ": "
                                                                   : str_cat(shown, " ", argument, ": ")));
    if (c.answer) return c;
  }
  add_defaults(c);
  return c;
}

}  // namespace rhea
