#include "hw/virtio/virtio_pci_types.h"

#include <algorithm>

namespace rhea {

namespace {

/// Property number `i` of a device, its kind's first, then what all have; null if it has fewer.
const PropertyInfo* device_property(const TypeInfo& device, size_t i) {
  for (const TypeInfo* t = &device; t != nullptr; t = t->parent) {
    if (i < t->properties.size()) return &t->properties[i];
    i -= t->properties.size();
    if (t == &VirtioDevice::kType) break;
  }
  return nullptr;
}

template <size_t I>
Json get_through(const Object& o) {
  const VirtioDevice& device = static_cast<const VirtioPci&>(o).backend();
  return device_property(device.type(), I)->get(device);
}
template <size_t I>
Result<> set_through(Object& o, std::string_view name, const Json& value, ValueForm form) {
  VirtioDevice& device = static_cast<VirtioPci&>(o).backend();
  const PropertyInfo& info = *device_property(device.type(), I);
  TRY(device.check_settable(info));
  return info.set(device, name, value, form);
}

constexpr size_t kMaxForwarded = 80;
template <size_t... I>
std::vector<PropertyInfo> forwarded(const TypeInfo& device, std::index_sequence<I...>) {
  using Get = Json (*)(const Object&);
  using Set = Result<> (*)(Object&, std::string_view, const Json&, ValueForm);
  constexpr Get kGet[] = {get_through<I>...};
  constexpr Set kSet[] = {set_through<I>...};
  std::vector<PropertyInfo> out;
  for (size_t i = 0; i < kMaxForwarded; ++i) {
    const PropertyInfo* const info = device_property(device, i);
    if (info == nullptr) break;
    PropertyInfo copy = *info;
    if (info->get != nullptr) copy.get = kGet[i];
    if (info->set != nullptr) copy.set = kSet[i];
    copy.print = nullptr;
    out.push_back(copy);
  }
  return out;
}

constexpr PropertyInfo kVirtioPciGeneric[] = {
    prop<&VirtioPci::disable_legacy>("disable-legacy", "on/off/auto"),
    prop<&VirtioPci::disable_modern>("disable-modern"),
};

}  // namespace

std::vector<PropertyInfo> virtio_pci_properties(const VirtioPciKind& kind) {
  std::vector<PropertyInfo> out(kind.properties.begin(), kind.properties.end());
  const std::vector<PropertyInfo> behind = forwarded(*kind.device, std::make_index_sequence<kMaxForwarded>());
  out.insert(out.end(), behind.begin(), behind.end());
  return out;
}

std::span<const PropertyInfo> virtio_pci_generic_properties() {
  return kVirtioPciGeneric;
}

}  // namespace rhea
