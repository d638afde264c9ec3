#include "hw/char/debugcon.h"

#include "hw/char/attach.h"

namespace rhea {

namespace {
constexpr PropertyInfo kDebugconProperties[] = {
    prop<&IsaDebugcon::iobase>("iobase"),
    prop<&IsaDebugcon::chardev_id>("chardev", "ID of a chardev to use as a backend"),
    prop<&IsaDebugcon::readback>("readback")};
}  // namespace

constexpr TypeInfo IsaDebugcon::kType{
    .name = "isa-debugcon",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<IsaDebugcon>(); },
    .properties = kDebugconProperties,
    .description = "debug console port",
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

CoResult<> IsaDebugcon::co_prepare(DeviceContext& context) {
  co_return attach_chardev(context, *this, chardev_id, chardev);
}

Result<> IsaDebugcon::do_realize() {
  if (chardev.chardev() == nullptr) return fail(EINVAL, "Can't create debugcon device, empty char device");
  if (iobase > 0xffff) return fail(EINVAL, "isa-debugcon: iobase ", iobase, " is outside the port space");
  chardev.set_handlers({});
  add_ports(static_cast<uint16_t>(iobase), 1, io_, "isa-debugcon", {.impl_max = 1});
  return {};
}

void IsaDebugcon::do_unrealize() {
  IsaDevice::do_unrealize();
  chardev.detach();
}

void IsaDebugcon::io_write(uint64_t, uint64_t value, unsigned) {
  const auto byte = static_cast<uint8_t>(value);
  // What a reader that has fallen asleep does not take is lost: the guest does not wait for it.
  std::ignore = chardev.write({&byte, 1});
}

}  // namespace rhea
