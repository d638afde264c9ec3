#include "hw/char/attach.h"

#include "chardev/chardev_set.h"

namespace rhea {

Result<> attach_chardev(DeviceContext& context, const Device& device, const std::string& label,
                        CharFrontend& frontend) {
  if (label.empty()) return {};
  Chardev* chardev = context.chars.find(label);
  if (chardev == nullptr)
    return fail(ENOENT, "Property '", device.type().name, ".chardev' can't find value '", label, "'");
  return frontend.attach(*chardev);
}

}  // namespace rhea
