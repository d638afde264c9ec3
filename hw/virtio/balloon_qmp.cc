// balloon and query-balloon.
#include "hw/virtio/virtio_balloon.h"
#include "qapi/qapi_commands_devices.h"

namespace rhea {

namespace {
Result<VirtioBalloon*> present_balloon() {
  VirtioBalloon* const balloon = VirtioBalloon::find();
  if (balloon == nullptr)
    return fail_class(ErrorClass::kDeviceNotActive, ENODEV, "No balloon device has been activated");
  return balloon;
}
}  // namespace

Result<> qmp_balloon(QmpContext&, BalloonArgs args) {
  VirtioBalloon* const balloon = TRY(present_balloon());
  if (args.value <= 0) return fail(EINVAL, "Parameter 'target' expects a size");
  balloon->set_target(static_cast<uint64_t>(args.value));
  return {};
}

Result<BalloonInfo> qmp_query_balloon(QmpContext&) {
  VirtioBalloon* const balloon = TRY(present_balloon());
  BalloonInfo info;
  info.actual = static_cast<int64_t>(balloon->actual_bytes());
  return info;
}

}  // namespace rhea
