// HMP commands that change a drive's medium.
#include <utility>

#include "monitor/hmp.h"
#include "qapi/qapi_commands_block.h"

namespace rhea {

namespace {

/// A drive is named by its block backend or, where it has none, by its id.
bool may_be_id(const Result<>& by_device) {
  return !by_device && by_device.error().error_class() == ErrorClass::kDeviceNotFound;
}

CoResult<> hmp_eject(HmpCall& call) {
  EjectArgs args;
  args.device = std::string(call.str("device"));
  args.force = call.flag("force");
  auto work = qmp_eject(call.ctx, args);
  Result<> result = co_await std::move(work);
  if (!may_be_id(result)) co_return result;
  args.id = std::exchange(args.device, std::nullopt);
  auto again = qmp_eject(call.ctx, std::move(args));
  const Result<> by_id = co_await std::move(again);
  co_return may_be_id(by_id) ? result : by_id;
}

Result<std::optional<BlockdevChangeReadOnlyMode>> read_only_mode(HmpCall& call) {
  if (!call.has("read-only-mode")) return std::optional<BlockdevChangeReadOnlyMode>();
  const std::string_view text = call.str("read-only-mode");
  auto mode = from_string<BlockdevChangeReadOnlyMode>(text);
  if (!mode) return fail(EINVAL, "invalid parameter value: ", text);
  return mode;
}

CoResult<> hmp_change(HmpCall& call) {
  BlockdevChangeMediumArgs args;
  args.device = std::string(call.str("device"));
  args.filename = std::string(call.str("target"));
  if (call.has("arg")) args.format = std::string(call.str("arg"));
  args.read_only_mode = co_await or_return(read_only_mode(call));
  args.force = call.flag("force");
  auto work = qmp_blockdev_change_medium(call.ctx, args);
  Result<> result = co_await std::move(work);
  if (!may_be_id(result)) co_return result;
  args.id = std::exchange(args.device, std::nullopt);
  auto again = qmp_blockdev_change_medium(call.ctx, std::move(args));
  const Result<> by_id = co_await std::move(again);
  co_return may_be_id(by_id) ? result : by_id;
}

constexpr HmpCommand kHmpMediaCommands[] = {
    {"eject", "force:-f,device:B", "[-f] device", "eject a removable medium (use -f to force it)", nullptr,
     hmp_eject},
    {"change", "device:B,force:-f,target:F,arg:s?,read-only-mode:s?",
     "device [-f] filename [format [read-only-mode]]", "change a removable medium, optional format", nullptr,
     hmp_change},
};

}  // namespace

void hmp_register_media(HmpRegistry& registry) {
  for (const HmpCommand& command : kHmpMediaCommands) registry.add(command);
}

}  // namespace rhea
