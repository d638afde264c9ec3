// QMP commands about character devices.
#include "chardev/chardev_set.h"
#include "qapi/qapi_commands_char.h"

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
