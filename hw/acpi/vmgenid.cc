#include "hw/acpi/vmgenid.h"

#include <sys/random.h>

#include "memory/memory.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qmp_context.h"
#include "util/byteorder.h"
#include "util/uuid.h"

namespace rhea {

namespace {

VmGenId* find_vmgenid(Object& root) {
  VmGenId* found = nullptr;
  for_each_device(root, [&](Device& d) {
    if (auto* v = dynamic_cast<VmGenId*>(&d)) found = v;
  });
  return found;
}

Json get_guid(const Object& o) {
  const auto& device = static_cast<const VmGenId&>(o);
  return device.automatic && !device.realized() ? Json("auto") : Json(device.text());
}

Result<> set_guid(Object& o, std::string_view name, const Json& value, ValueForm form) {
  auto& device = static_cast<VmGenId&>(o);
  const std::string text = TRY(property_str(name, value, form));
  if (text == "auto") {
    device.automatic = true;
    return {};
  }
  const std::optional<VmGenerationId> id = uuid_from_text(text);
  if (!id) return fail(EINVAL, "Property 'vmgenid.guid' doesn't take value '", text, "'");
  device.automatic = false;
  device.id = *id;
  return {};
}

constexpr VMStateField kVmgenidFields[] = {field<&VmGenId::address>("vmgenid_addr_le")};

}  // namespace

constexpr PropertyInfo VmGenId::kProperties[] = {
    {.name = "guid",
     .type = "str",
     .description = "UUID (aka GUID) or \"auto\" for random value (default)",
     .get = get_guid,
     .set = set_guid}};
constexpr TypeInfo VmGenId::kType{
    .name = "vmgenid",
    .parent = &Device::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VmGenId>(); },
    .properties = VmGenId::kProperties,
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

constexpr VMState VmGenId::kVmState{.name = "vmgenid",
                                    .version = 1,
                                    .minimum_version = 1,
                                    .fields = kVmgenidFields,
                                    .post_load = VmGenId::after_load};

Result<> VmGenId::do_realize() {
  if (find_vmgenid(qom_root().container("/machine")) != this)
    return fail(EEXIST, "at most one vmgenid device is permitted");
  if (!automatic) return {};
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()))
    return fail_errno(errno, "no random numbers for the generation id");
  id[6] = static_cast<uint8_t>((id[6] & 0x0f) | 0x40);  // RFC 4122, 4.4: random
  id[8] = static_cast<uint8_t>((id[8] & 0x3f) | 0x80);
  return {};
}

std::string VmGenId::text() const {
  return uuid_to_text(id);
}

/// A GUID in memory has its first three parts little endian.
VmGenerationId VmGenId::in_memory_order() const {
  VmGenerationId out = id;
  std::reverse(out.begin(), out.begin() + 4);
  std::swap(out[4], out[5]);
  std::swap(out[6], out[7]);
  return out;
}

std::vector<uint8_t> VmGenId::page() const {
  std::vector<uint8_t> out(kPageBytes);
  const VmGenerationId bytes = in_memory_order();
  std::copy(bytes.begin(), bytes.end(), out.begin() + kIdAt);
  return out;
}

/// The loaded machine has its own id: that is what the device is for.
Result<> VmGenId::after_load(void* object, int) {
  auto& device = *static_cast<VmGenId*>(object);
  const auto at = load_le<uint64_t>(device.address.data());
  if (at == 0) return {};
  const VmGenerationId bytes = device.in_memory_order();
  std::ignore = memory_space().write(at, bytes.data(), bytes.size());  // the guest chose the place
  if (device.on_change) device.on_change();
  return {};
}

const VMState* VmGenId::vmstate() const {
  return &kVmState;
}

Result<GuidInfo> qmp_query_vm_generation_id(QmpContext& ctx) {
  const VmGenId* device = find_vmgenid(ctx.qom.container("/machine"));
  if (device == nullptr) return fail(ENODEV, "VM Generation ID device not found");
  GuidInfo info;
  info.guid = device->text();
  return info;
}

}  // namespace rhea
