#include "system/option_groups.h"

#include <algorithm>

#include "qapi/qapi_commands_control.h"

namespace rhea {

namespace {

constexpr auto kString = ParameterKind::kString;
constexpr auto kBoolean = ParameterKind::kBoolean;
constexpr auto kNumber = ParameterKind::kNumber;
constexpr auto kSize = ParameterKind::kSize;

constexpr OptionParameter kAction[] = {
    {"reboot", kString}, {"shutdown", kString}, {"panic", kString}, {"watchdog", kString}};
constexpr OptionParameter kAddFd[] = {
    {"fd", kNumber},
    {"set", kNumber},
    {"opaque", kString},
};
constexpr OptionParameter kBoot[] = {
    {"order", kString},       {"once", kString},           {"menu", kBoolean},   {"splash", kString},
    {"splash-time", kNumber}, {"reboot-timeout", kNumber}, {"strict", kBoolean},
};
constexpr OptionParameter kChardev[] = {
    {"backend", kString},      {"path", kString},      {"host", kString},      {"port", kString},
    {"fd", kString},           {"to", kNumber},        {"ipv4", kBoolean},     {"ipv6", kBoolean},
    {"wait", kBoolean},        {"server", kBoolean},   {"nodelay", kBoolean},  {"reconnect", kNumber},
    {"telnet", kBoolean},      {"mux", kBoolean},      {"signal", kBoolean},   {"chardev", kString},
    {"size", kSize},           {"append", kBoolean},   {"logfile", kString},   {"logappend", kBoolean},
    {"tight", kBoolean, "on"}, {"abstract", kBoolean}, {"localaddr", kString}, {"localport", kString},
    {"input-path", kString},   {"delay", kBoolean},
};
constexpr OptionParameter kDrive[] = {
    {"bus", kNumber},
    {"unit", kNumber},
    {"index", kNumber},
    {"media", kString},
    {"if", kString},
    {"file", kString},
    {"read-only", kBoolean},
    {"rerror", kString},
    {"werror", kString},
    {"node-name", kString},
    {"driver", kString},
    {"cache.direct", kBoolean},
    {"cache.no-flush", kBoolean},
    {"cache.writeback", kBoolean},
    {"auto-read-only", kBoolean},
    {"discard", kString},
    {"force-share", kBoolean},
    {"aio", kString},
    {"format", kString},
    {"detect-zeroes", kString},
};
constexpr OptionParameter kVnc[] = {
    {"vnc", kString},         {"share", kString},    {"display", kString}, {"head", kNumber},
    {"connections", kNumber}, {"to", kNumber},       {"ipv4", kBoolean},   {"ipv6", kBoolean},
    {"password", kBoolean},   {"audiodev", kString},
};
constexpr OptionParameter kGlobal[] = {{"driver", kString}, {"property", kString}, {"value", kString}};
constexpr OptionParameter kMachine[] = {
    {"type", kString},       {"accel", kString}, {"dump-guest-core", kBoolean},
    {"mem-merge", kBoolean}, {"usb", kBoolean},
};
constexpr OptionParameter kMemory[] = {{"size", kSize}, {"slots", kNumber}, {"maxmem", kSize}};
constexpr OptionParameter kMon[] = {{"mode", kString}, {"chardev", kString}, {"pretty", kBoolean}};
constexpr OptionParameter kMsg[] = {
    {"timestamp", kBoolean},
    {"guest-name", kBoolean},
};
constexpr OptionParameter kName[] = {
    {"guest", kString},
    {"process", kString},
    {"debug-threads", kBoolean},
};
constexpr OptionParameter kOvercommit[] = {{"mem-lock", kBoolean}, {"cpu-pm", kBoolean}};
constexpr OptionParameter kRtc[] = {{"base", kString}, {"clock", kString}, {"driftfix", kString}};
constexpr OptionParameter kSandbox[] = {{"enable", kBoolean},
                                        {"obsolete", kString},
                                        {"elevateprivileges", kString},
                                        {"spawn", kString},
                                        {"resourcecontrol", kString}};
constexpr OptionParameter kSmp[] = {
    {"cpus", kNumber},  {"sockets", kNumber}, {"dies", kNumber},    {"clusters", kNumber},
    {"cores", kNumber}, {"threads", kNumber}, {"maxcpus", kNumber},
};
constexpr OptionParameter kTrace[] = {{"enable", kString}, {"events", kString}, {"file", kString}};

constexpr OptionGroup kGroups[] = {
    {"accel", "accel", {}},
    {"action", "action", kAction},
    {"add-fd", "add-fd", kAddFd},
    {"boot-opts", "boot", kBoot},
    {"chardev", "chardev", kChardev},
    {"device", "device", {}},
    {"drive", "drive", kDrive},
    {"global", "global", kGlobal},
    {"machine", "machine", kMachine},
    {"memory", "m", kMemory},
    {"mon", "mon", kMon},
    {"msg", "msg", kMsg},
    {"name", "name", kName},
    {"object", "object", {}},
    {"overcommit", "overcommit", kOvercommit},
    {"rtc", "rtc", kRtc},
    {"sandbox", "sandbox", kSandbox},
    {"smp-opts", "smp", kSmp},
    {"trace", "trace", kTrace},
    {"vnc", "vnc", kVnc},
};

CommandLineParameterType type_of(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kBoolean:
      return CommandLineParameterType::kBoolean;
    case ParameterKind::kNumber:
      return CommandLineParameterType::kNumber;
    case ParameterKind::kSize:
      return CommandLineParameterType::kSize;
    default:
      return CommandLineParameterType::kString;
  }
}

CommandLineOptionInfo info_of(const OptionGroup& group) {
  CommandLineOptionInfo info;
  info.option = group.name;
  for (const OptionParameter& p : group.parameters) {
    CommandLineParameterInfo& parameter = info.parameters.emplace_back();
    parameter.name = p.name;
    parameter.type = type_of(p.kind);
    if (!p.default_value.empty()) parameter.default_ = p.default_value;
  }
  return info;
}

}  // namespace

const OptionParameter* OptionGroup::find(std::string_view parameter) const {
  const auto it = std::ranges::find(parameters, parameter, &OptionParameter::name);
  return it != parameters.end() ? &*it : nullptr;
}

std::span<const OptionGroup> option_groups() {
  return kGroups;
}

const OptionGroup* find_option_group(std::string_view name) {
  const auto it = std::ranges::find(kGroups, name, &OptionGroup::name);
  return it != std::end(kGroups) ? &*it : nullptr;
}

Result<std::vector<CommandLineOptionInfo>> qmp_query_command_line_options(QmpContext&,
                                                                          QueryCommandLineOptionsArgs args) {
  std::vector<CommandLineOptionInfo> out;
  for (const OptionGroup& group : kGroups)
    if (!args.option || *args.option == group.name) out.push_back(info_of(group));
  if (args.option && out.empty()) return fail(EINVAL, "invalid option name: ", *args.option);
  return out;
}

}  // namespace rhea
