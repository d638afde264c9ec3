// Options that connect things to the machine: objects, drives, nodes, devices, character devices, monitors.
#include "block/drivers/drivers.h"
#include "chardev/chardev_set.h"
#include "hw/core/device_add.h"
#include "system/option_handlers.h"

namespace rhea {

Result<> opt_object(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    std::string out = "List of user creatable objects:\n";
    for (const auto& [name, type] : TypeRegistry::instance().all())
      if (type->user_creatable && !type->is_a("device")) str_append(out, "  ", name, "\n");
    c.answer = std::move(out);
    return {};
  }
  OptionArgument argument = TRY(parse_tree(text, "qom-type", OptionSyntax::kLax));
  if (argument.help) {
    const Json* name = argument.values.find("qom-type");
    const std::string text_of = name != nullptr && name->is_string() ? name->as_string() : std::string();
    const TypeInfo* type = TypeRegistry::instance().find(text_of);
    if (type == nullptr || !type->user_creatable || type->is_a("device"))
      return fail(EINVAL, "Parameter 'qom-type' does not accept value '", text_of, "'");
    std::vector<TypeProperty> properties = type_properties(*type);
    for (TypeProperty& p : properties) p.default_value.reset();
    c.answer = properties_help(type->name, properties);
    return {};
  }
  c.objects.push_back({std::move(argument.values), argument.form});
  return {};
}

Result<> opt_cdrom(CommandLine& c, std::string_view text) {
  c.drives.push_back({Json::object({{"if", "ide"}, {"index", "2"}, {"media", "cdrom"}, {"file", text}})});
  c.cdrom_given = true;
  return {};
}

Result<> opt_fd(CommandLine& c, int index, std::string_view text) {
  c.drives.push_back({Json::object({{"if", "floppy"}, {"index", str_cat(index)}, {"file", text}})});
  return {};
}

Result<> opt_hd(CommandLine& c, int index, std::string_view text) {
  c.drives.push_back(
      {Json::object({{"if", "ide"}, {"index", str_cat(index)}, {"media", "disk"}, {"file", text}})});
  return {};
}

Result<> opt_drive(CommandLine& c, std::string_view text) {
  Keyval kv = TRY(keyval_parse_flat(text));
  const Json* format = kv.values.find("format");
  if (format != nullptr && format->is_string() &&
      (format->as_string() == "help" || format->as_string() == "?")) {
    std::string names;
    for (const BlockDriver* d : block_drivers()) str_append(names, " ", d->name);
    c.answer = str_cat("Supported formats:", names, "\nSupported formats (read-only):", names, "\n");
    return {};
  }
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

/// The short form takes the value as it stands, commas included.
Result<> opt_global(CommandLine& c, std::string_view text) {
  const size_t dot = text.find('.'), equals = text.find('=');
  if (dot != std::string_view::npos && equals != std::string_view::npos && dot > 0 && dot + 1 < equals) {
    c.globals.push_back({.type = std::string(text.substr(0, dot)),
                         .property = std::string(text.substr(dot + 1, equals - dot - 1)),
                         .value = std::string(text.substr(equals + 1)),
                         .from_user = true});
    return {};
  }
  const Fields f = TRY(Fields::parse(text, {}, "global"));
  const std::string *driver = f.find("driver"), *property = f.find("property"), *value = f.find("value");
  if (driver == nullptr || property == nullptr || value == nullptr)
    return fail(EINVAL, "options 'driver', 'property', and 'value' are required");
  c.globals.push_back({.type = *driver, .property = *property, .value = *value, .from_user = true});
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

Result<> opt_monitor(CommandLine& c, std::string_view text) {
  c.monitor_given = true;
  if (text != "none") c.monitors.push_back({.chardev = std::string(text)});
  return {};
}

Result<> opt_qmp(CommandLine& c, std::string_view text, bool pretty) {
  c.monitors.push_back({.chardev = std::string(text), .control = true, .pretty = pretty});
  return {};
}

Result<> opt_mon(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "chardev", "mon"));
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

}  // namespace rhea
