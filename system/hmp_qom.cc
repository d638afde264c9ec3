// HMP commands about objects and devices: qom-list, qom-get, qom-set, object_add, object_del, device_add,
// device_del, info qom-tree, info qtree, info qdm. Each goes the way of its QMP command.
#include <algorithm>

#include "hw/core/device_add.h"
#include "qapi/hmp_registry.h"
#include "qapi/option.h"
#include "qapi/qapi_commands_qdev.h"
#include "qapi/qapi_commands_qom.h"
#include "qapi/qmp_context.h"
#include "qom/user_creatable.h"
#include "system/hmp_machine.h"
#include "system/option_handlers.h"

namespace rhea {

namespace {

Result<> hmp_qom_list(HmpCall& call) {
  if (!call.has("path")) {
    call.print("/\n");
    return {};
  }
  QomListArgs args;
  args.path = std::string(call.str("path"));
  for (const ObjectPropertyInfo& p : TRY(qmp_qom_list(call.ctx, std::move(args))))
    call.print(p.name, " (", p.type, ")\n");
  return {};
}

Result<> hmp_qom_get(HmpCall& call) {
  QomGetArgs args;
  args.path = std::string(call.str("path"));
  args.property = std::string(call.str("property"));
  const Json value = TRY(qmp_qom_get(call.ctx, std::move(args)));
  value.write_pretty(call.out);
  call.print("\n");
  return {};
}

/// Without -j the value is text as on the command line.
Result<> hmp_qom_set(HmpCall& call) {
  const std::string path(call.str("path"));
  if (call.flag("json")) {
    QomSetArgs args;
    args.path = path;
    args.property = std::string(call.str("property"));
    args.value = TRY(Json::parse(call.str("value")));
    return qmp_qom_set(call.ctx, std::move(args));
  }
  Object* object = call.ctx.qom.resolve(path);
  if (object == nullptr)
    return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "Device '", path, "' not found");
  return object->set_property(call.str("property"), Json(call.str("value")), ValueForm::kKeyval);
}

/// "help", or "TYPE,help".
Result<> print_object_help(HmpCall& call, std::string_view text) {
  CommandLine asked;
  TRY(opt_object(asked, text));
  call.print(asked.answer.value_or(""));
  return {};
}

Result<> hmp_object_add(HmpCall& call) {
  const std::string_view text = call.str("object");
  OptionArgument argument = TRY(parse_tree(text, "qom-type", OptionSyntax::kLax));
  if (argument.help || text == "help" || text == "?") return print_object_help(call, text);
  return object_add(std::move(argument.values), argument.form);
}

Result<> hmp_object_del(HmpCall& call) {
  ObjectDelArgs args;
  args.id = std::string(call.str("id"));
  return qmp_object_del(call.ctx, std::move(args));
}

CoResult<> hmp_device_add(HmpCall& call) {
  const std::string_view text = call.str("device");
  if (text == "help" || text == "?") {
    call.print(device_help());
    co_return Result<>();
  }
  OptionArgument argument = co_await or_return(parse_tree(text, "driver", OptionSyntax::kLax));
  if (argument.help) {
    const Json* driver = argument.values.find("driver");
    const std::string name = driver != nullptr && driver->is_string() ? driver->as_string() : std::string();
    call.print(co_await or_return(device_type_help(name)));
    co_return Result<>();
  }
  auto work = qmp_device_add(call.ctx, std::move(argument.values));
  co_return co_await std::move(work);
}

CoResult<> hmp_device_del(HmpCall& call) {
  DeviceDelArgs args;
  args.id = std::string(call.str("id"));
  auto work = qmp_device_del(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

Result<> info_iothreads(HmpCall& call) {
  for (const IOThreadInfo& t : TRY(qmp_query_iothreads(call.ctx)))
    call.print(t.id, ":\n  thread_id=", t.thread_id, "\n  poll-max-ns=", t.poll_max_ns,
               "\n  poll-grow=", t.poll_grow, "\n  poll-shrink=", t.poll_shrink,
               "\n  aio-max-batch=", t.aio_max_batch, "\n");
  return {};
}

Result<> info_qtree(HmpCall& call) {
  call.out += qtree_text(call.ctx.qom.container("/machine"));
  return {};
}

Result<> info_qdm(HmpCall& call) {
  call.out += device_models_text();
  return {};
}

/// Children by name, as in a listing of a directory.
void print_tree(const Object& object, int indent, std::string& out) {
  out.append(static_cast<size_t>(indent), ' ');
  str_append(out, "/", object.name(), " (", object.type().name, ")\n");
  std::vector<const Object*> children;
  children.reserve(object.children().size());
  for (const auto& child : object.children()) children.push_back(child.get());
  std::ranges::sort(children, {}, &Object::name);
  for (const Object* child : children) print_tree(*child, indent + 2, out);
}

Result<> info_qom_tree(HmpCall& call) {
  const std::string path = call.has("path") ? std::string(call.str("path")) : "/machine";
  bool ambiguous = false;
  const Object* object = call.ctx.qom.resolve(path, &ambiguous);
  if (object == nullptr)
    call.print(ambiguous ? "Warning: Path '" : "Path '", path,
               ambiguous ? "' is ambiguous" : "' could not be resolved.", "\n");
  else
    print_tree(*object, 0, call.out);
  return {};
}

constexpr HmpCommand kHmpQomCommands[] = {
    {.name = "qom-list",
     .args = "path:s?",
     .params = "path",
     .help = "list QOM properties",
     .run = hmp_qom_list},
    {.name = "qom-get",
     .args = "path:s,property:s",
     .params = "path property",
     .help = "print QOM property",
     .run = hmp_qom_get},
    {.name = "qom-set",
     .args = "json:-j,path:s,property:s,value:S",
     .params = "[-j] path property value",
     .help = "set QOM property.\n\t\t\t-j: the value is specified in json format.",
     .run = hmp_qom_set},
    {.name = "object_add",
     .args = "object:S",
     .params = "[qom-type=]type,id=str[,prop=value][,...]",
     .help = "create QOM object",
     .run = hmp_object_add},
    {.name = "object_del",
     .args = "id:s",
     .params = "id",
     .help = "destroy QOM object",
     .run = hmp_object_del},
    {.name = "device_add",
     .args = "device:s?",
     .params = "driver[,prop=value][,...]",
     .help = "add device, like -device on the command line",
     .co_run = hmp_device_add},
    {.name = "device_del",
     .args = "id:s",
     .params = "device",
     .help = "remove device",
     .co_run = hmp_device_del},
    {.name = "info iothreads", .help = "show iothreads", .run = info_iothreads},
    {.name = "info qtree", .help = "show device tree", .run = info_qtree},
    {.name = "info qdm", .help = "show qdev device model list", .run = info_qdm},
    {.name = "info qom-tree",
     .args = "path:s?",
     .params = "[path]",
     .help = "show QOM composition tree",
     .run = info_qom_tree},
};

}  // namespace

void register_qom_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpQomCommands) registry.add(command);
}

}  // namespace rhea
