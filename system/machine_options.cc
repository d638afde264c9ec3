// Options that say what the machine is: -machine, -accel, -cpu, -m, -smp, -boot, -name, -uuid, -rtc.
#include <time.h>

#include <algorithm>
#include <charconv>

#include "system/option_handlers.h"
#include "target/i386/cpu_model.h"
#include "util/log.h"
#include "util/uuid.h"

namespace rhea {

/// An option written in JSON or key=value syntax; what its syntax warns of is said.
Result<OptionArgument> parse_tree(std::string_view text, std::string_view implied, OptionSyntax syntax) {
  OptionArgument argument = TRY(parse_option(text, implied, syntax));
  for (const auto& [warning, advice] : argument.warnings) {
    warn_report(warning);
    if (!advice.empty()) info_report(advice);
  }
  return argument;
}

/// As a list for people: the families by their names' order, in each the newest first.
static std::vector<const MachineClass*> machines_by_age() {
  auto family = [](const MachineClass* m) {
    const std::string_view name = m->name;
    const size_t digits = name.find_last_of('-');
    return digits == std::string_view::npos ? name : name.substr(0, digits);
  };
  std::vector<const MachineClass*> list = machine_classes();
  std::ranges::stable_sort(list, {}, family);
  auto older = [&](const MachineClass* a, const MachineClass* b) {
    return family(a) == family(b) && std::string_view(a->name) > std::string_view(b->name);
  };
  std::ranges::stable_sort(list, [&](const MachineClass* a, const MachineClass* b) {
    return family(a) != family(b) ? family(a) < family(b) : older(a, b);
  });
  return list;
}

Result<> opt_machine(CommandLine& c, std::string_view text) {
  Keyval kv = TRY(keyval_parse_flat(text, "type"));
  const Json* type = kv.values.find("type");
  if (kv.help && type != nullptr) {
    const MachineClass* m = find_machine_class(type->as_string());
    if (m == nullptr) return fail(EINVAL, "unsupported machine type");
    std::vector<TypeProperty> properties = type_properties(*m->type);
    std::erase_if(properties, [](const TypeProperty& p) { return p.type.starts_with("child<"); });
    for (TypeProperty& p : properties) p.default_value.reset();
    c.answer = properties_help(m->type->name, properties);
    return {};
  }
  if (kv.help || text == "help" || text == "?") {
    std::string out = "Supported machines are:\n";
    for (const MachineClass* m : machines_by_age()) {
      auto line = [&](std::string_view name, const std::string& description) {
        std::string padded(name);
        padded.resize(std::max<size_t>(padded.size(), 20), ' ');
        str_append(out, padded, " ", description, "\n");
      };
      if (m->alias != nullptr) line(m->alias, str_cat(m->description, " (alias of ", m->name, ")"));
      line(m->name,
           str_cat(m->description, m->is_default ? " (default)" : "", m->deprecated ? " (deprecated)" : ""));
    }
    c.answer = std::move(out);
    return {};
  }
  std::string smp;
  for (const auto& [key, value] : kv.values.as_object()) {
    if (key.starts_with("smp."))
      str_append(smp, smp.empty() ? "" : ",", key.substr(4), "=", value.as_string());
    else if (key == "type")
      c.machine_type = value.as_string();
    else if (key == "kernel-irqchip" || key == "kernel_irqchip")
      c.kernel_irqchip = value.as_string();
    else if (key == "accel")
      c.accelerators = parse_accel_list(value.as_string());
    else
      c.machine_properties.emplace_back(key, value.as_string());
  }
  if (!smp.empty()) TRY(opt_smp(c, smp));
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

namespace {

/// What may be added to the running machine.
Result<> opt_memory_modules(MachineConfig& config, const Fields& f) {
  constexpr uint64_t kMostSlots = 256;
  const std::string *most = f.find("maxmem"), *slots = f.find("slots");
  config.max_ram_bytes = 0;
  config.memory_slots = 0;
  if (most == nullptr) {
    if (slots != nullptr) return fail(EINVAL, "slots specified but no max-size");
    return {};
  }
  uint64_t bytes = 0, count = 0;
  if (!parse_size(*most, bytes, 'M')) return fail(EINVAL, "Parameter 'maxmem' expects a size");
  if (slots != nullptr) {
    const auto [end, error] = std::from_chars(slots->data(), slots->data() + slots->size(), count);
    if (error != std::errc() || end != slots->data() + slots->size())
      return fail(EINVAL, "Parameter 'slots' expects a number");
  }
  if (bytes < config.ram_bytes)
    return fail(EINVAL, "invalid value of maxmem: maximum memory size (0x", hex(bytes),
                ") must be at least the initial memory size (0x", hex(config.ram_bytes), ")");
  if (count != 0 && bytes == config.ram_bytes)
    return fail(EINVAL, "invalid value of maxmem: memory slots were specified but maximum memory size (0x",
                hex(bytes), ") is equal to the initial memory size (0x", hex(config.ram_bytes), ")");
  if (count > kMostSlots) return fail(EINVAL, "unsupported amount of memory slots: ", count);
  if (bytes % 8192 != 0) return fail(EINVAL, "maximum memory size must by aligned to multiple of 8192 bytes");
  config.max_ram_bytes = bytes;
  config.memory_slots = static_cast<uint32_t>(count);
  return {};
}

}  // namespace

Result<> opt_memory(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "size", "memory"));
  const std::string* size = f.find("size");
  uint64_t bytes = 0;
  if (size == nullptr || !parse_size(*size, bytes, 'M'))
    return fail(EINVAL, "Parameter 'size' expects a size");
  if (bytes == 0) bytes = uint64_t{128} << 20;
  c.config.ram_bytes = (bytes + 8191) & ~uint64_t{8191};
  return opt_memory_modules(c.config, f);
}

/// "cpus" may stand several times, each with a number or a range.
Result<> opt_numa(CommandLine& c, std::string_view text) {
  constexpr uint64_t kMaxCpus = 4096;
  std::string rest;
  Json cpus = Json::array();
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    at = comma + 1;
    if (!item.starts_with("cpus=")) {
      str_append(rest, rest.empty() ? "" : ",", item);
      continue;
    }
    const std::string_view range = item.substr(5);
    const size_t dash = range.find('-');
    uint64_t first = 0, last = 0;
    if (!parse_u64(range.substr(0, dash), first) ||
        !parse_u64(dash == std::string_view::npos ? range : range.substr(dash + 1), last) || first > last ||
        last >= kMaxCpus)
      return fail(EINVAL, "Parameter 'cpus' expects an int64 value or range");
    for (uint64_t n = first; n <= last; ++n) cpus.push_back(std::to_string(n));
  }
  OptionArgument argument = TRY(parse_tree(rest, "type", OptionSyntax::kLax));
  if (!cpus.as_array().empty()) argument.values.set("cpus", std::move(cpus));
  c.numas.push_back({std::move(argument.values), argument.form});
  c.numa_texts.emplace_back(text);
  return {};
}

Result<> opt_smp(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "cpus", "smp-opts"));
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

static Result<> check_boot_letters(std::string_view letters) {
  std::string seen;
  for (char ch : letters) {
    if (ch < 'a' || ch > 'p') return fail(EINVAL, "Invalid boot device '", ch, "'");
    if (seen.find(ch) != std::string::npos) return fail(EINVAL, "Boot device '", ch, "' was given twice");
    seen += ch;
  }
  return {};
}

Result<> opt_boot(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "order", "boot-opts"));
  BootOptions& b = c.config.boot;
  if (const auto* s = f.find("order")) b.order = *s;
  if (const auto* s = f.find("once")) b.once = *s;
  TRY(check_boot_letters(b.order));
  TRY(check_boot_letters(b.once));
  b.menu = TRY(f.flag("menu", b.menu));
  b.strict = TRY(f.flag("strict", b.strict));
  if (const auto* s = f.find("splash")) b.splash = *s;
  if (const auto n = TRY(f.signed_number("splash-time"))) {
    if (*n < 0 || *n > 0xffff)
      return fail(EINVAL, "splash-time is invalid,it should be a value between 0 and 65535");
    b.splash_time_ms = static_cast<uint16_t>(*n);
  }
  if (const auto n = TRY(f.signed_number("reboot-timeout"))) {
    if (*n < -1 || *n > 0xffff)
      return fail(EINVAL, "reboot timeout is invalid,it should be a value between -1 and 65535");
    b.reboot_timeout_ms = static_cast<uint32_t>(*n);  // -1, for ever, is all ones
  }
  return {};
}

Result<> opt_name(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "guest", "name"));
  if (const auto* guest = f.find("guest")) c.config.guest_name = *guest;
  if (const auto* process = f.find("process")) set_process_name(*process);
  TRY(f.flag("debug-threads", true));  // threads always have names here
  return {};
}

Result<> opt_uuid(CommandLine& c, std::string_view text) {
  const std::optional<Uuid> uuid = uuid_from_text(text);
  if (!uuid) return fail(EINVAL, "failed to parse UUID string: wrong format");
  c.config.uuid = *uuid;
  c.config.uuid_set = true;
  return {};
}

static Result<> rtc_base(RtcOptions& rtc, const std::string& base) {
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
  const Fields f = TRY(Fields::parse(text, {}, "rtc"));
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

}  // namespace rhea
