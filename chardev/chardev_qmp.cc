// QMP commands about character devices that are there.
#include "chardev/chardev_set.h"
#include "chardev/ringbuf.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_char.h"
#include "util/base64.h"

namespace rhea {

Result<std::vector<ChardevInfo>> qmp_query_chardev(QmpContext& ctx) {
  std::vector<ChardevInfo> out;
  for (ChardevState& state : ctx.chardevs.snapshot()) {
    ChardevInfo& info = out.emplace_back();
    info.label = std::move(state.label);
    info.filename = std::move(state.filename);
    info.frontend_open = state.frontend_open;
  }
  return out;
}

Result<std::vector<ChardevBackendInfo>> qmp_query_chardev_backends(QmpContext&) {
  std::vector<ChardevBackendInfo> out;
  for (std::string_view name : ChardevSet::backends()) out.emplace_back().name = name;
  return out;
}

Result<> qmp_chardev_remove(QmpContext& ctx, ChardevRemoveArgs args) {
  return ctx.chardevs.remove(args.id);
}

Result<> qmp_chardev_send_break(QmpContext& ctx, ChardevSendBreakArgs args) {
  TRY(ctx.chardevs.get(args.id))->receive_break();
  return {};
}

Result<> qmp_add_client(QmpContext& ctx, AddClientArgs args) {
  if (ctx.session == nullptr)
    return fail(ENOENT, "File descriptor named '", args.fdname, "' has not been found");
  UniqueFd fd = TRY(ctx.session->take_fd(args.fdname));
  Chardev* chardev = ctx.chardevs.find(args.protocol);
  if (chardev == nullptr) return fail(EINVAL, "protocol '", args.protocol, "' is invalid");
  return chardev->add_client(std::move(fd));
}

namespace {

Result<RingbufChardev*> find_ringbuf(QmpContext& ctx, std::string_view id) {
  Chardev* chardev = ctx.chardevs.find(id);
  if (chardev == nullptr) return fail(ENODEV, "Device '", id, "' not found");
  auto* ringbuf = dynamic_cast<RingbufChardev*>(chardev);
  if (ringbuf == nullptr) return fail(EINVAL, id, " is not a ringbuf device");
  return ringbuf;
}

}  // namespace

Result<> qmp_ringbuf_write(QmpContext& ctx, RingbufWriteArgs args) {
  RingbufChardev* ringbuf = TRY(find_ringbuf(ctx, args.device));
  std::vector<uint8_t> bytes(args.data.begin(), args.data.end());
  if (args.format == DataFormat::kBase64) bytes = base64_decode(args.data);
  ringbuf->store(bytes);
  return {};
}

Result<std::string> qmp_ringbuf_read(QmpContext& ctx, RingbufReadArgs args) {
  RingbufChardev* ringbuf = TRY(find_ringbuf(ctx, args.device));
  if (args.size <= 0) return fail(EINVAL, "size must be greater than zero");
  std::string text = ringbuf->read(static_cast<size_t>(args.size));
  if (args.format == DataFormat::kBase64) return base64_encode({text.begin(), text.end()});
  return text;
}

Result<> qmp_yank(QmpContext& ctx, YankArgs args) {
  std::vector<Chardev*> found;
  for (const YankInstance& instance : args.instances) {
    const auto* wanted = std::get_if<YankInstanceChardev>(&instance.u);
    Chardev* chardev = wanted != nullptr ? ctx.chardevs.find(wanted->id) : nullptr;
    if (chardev == nullptr || !chardev->can_yank())
      return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Instance not found");
    found.push_back(chardev);
  }
  for (Chardev* chardev : found) chardev->yank();
  return {};
}

Result<std::vector<YankInstance>> qmp_query_yank(QmpContext& ctx) {
  std::vector<YankInstance> out;
  for (const ChardevState& state : ctx.chardevs.snapshot()) {
    if (!ctx.chardevs.find(state.label)->can_yank()) continue;
    YankInstanceChardev instance;
    instance.id = state.label;
    out.emplace_back().u = std::move(instance);
  }
  return out;
}

}  // namespace rhea
