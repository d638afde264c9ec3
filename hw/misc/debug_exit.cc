#include "hw/misc/debug_exit.h"

namespace rhea {

namespace {
constexpr PropertyInfo kProperties[] = {prop<&IsaDebugExit::iobase>("iobase"),
                                        prop<&IsaDebugExit::iosize>("iosize")};
}  // namespace

std::function<void(int)> IsaDebugExit::default_on_exit;

constexpr TypeInfo IsaDebugExit::kType{
    .name = "isa-debug-exit",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<IsaDebugExit>(); },
    .properties = kProperties,
    .description = "port that ends the process",
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

Result<> IsaDebugExit::do_realize() {
  if (iosize != 1 && iosize != 2 && iosize != 4)
    return fail(EINVAL, "isa-debug-exit: iosize must be 1, 2 or 4, not ", iosize);
  if (iobase > 0x10000 - iosize)
    return fail(EINVAL, "isa-debug-exit: iobase ", iobase, " is outside the port space");
  if (!on_exit) on_exit = default_on_exit;
  add_ports(static_cast<uint16_t>(iobase), static_cast<uint16_t>(iosize), io_, "isa-debug-exit",
            {.valid_max = 4, .impl_max = 4});
  return {};
}

void IsaDebugExit::io_write(uint64_t, uint64_t value, unsigned) {
  if (on_exit) on_exit(static_cast<int>(static_cast<uint32_t>(value) << 1 | 1));
}

}  // namespace rhea
