// virtio-blk-pci: a virtio disk on PCI, in three dresses: as the properties say, transitional, modern only.
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_pci.h"
#include "hw/virtio/virtio_types.h"

namespace rhea {

namespace {

enum class Dress : uint8_t { kGeneric, kTransitional, kNonTransitional };

class VirtioBlkPciBase : public VirtioPci {
 public:
  static const TypeInfo kType;
  VirtioBlkPciBase() : VirtioPci(std::make_shared<VirtioBlk>(), 0x0100) {}
};

/// Properties of the disk behind the function, by their place in its table.
const PropertyInfo& disk_property(size_t i) {
  return VirtioBlk::properties()[i];
}
template <size_t I>
Json get_disk_property(const Object& o) {
  return disk_property(I).get(static_cast<const VirtioBlkPciBase&>(o).backend());
}
template <size_t I>
Result<> set_disk_property(Object& o, std::string_view name, const Json& value, ValueForm form) {
  return disk_property(I).set(static_cast<VirtioBlkPciBase&>(o).backend(), name, value, form);
}

constexpr size_t kMaxDiskProperties = 40;
template <size_t... I>
std::vector<PropertyInfo> forward(std::index_sequence<I...>) {
  using Get = Json (*)(const Object&);
  using Set = Result<> (*)(Object&, std::string_view, const Json&, ValueForm);
  constexpr Get kGet[] = {get_disk_property<I>...};
  constexpr Set kSet[] = {set_disk_property<I>...};
  std::vector<PropertyInfo> out(VirtioBlk::properties().begin(), VirtioBlk::properties().end());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].get = kGet[i];
    out[i].set = kSet[i];
  }
  return out;
}
std::span<const PropertyInfo> forwarded_properties() {
  static const std::vector<PropertyInfo> all = forward(std::make_index_sequence<kMaxDiskProperties>());
  return all;
}

template <Dress D>
class VirtioBlkPci final : public VirtioBlkPciBase {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  VirtioBlkPci() {
    if (D != Dress::kGeneric) disable_legacy = D == Dress::kTransitional ? OnOffAuto::kOff : OnOffAuto::kOn;
  }
};

template <Dress D>
TypeInfo make_type(const char* name, const char* description) {
  return {.name = name,
          .parent = &VirtioBlkPciBase::kType,
          .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioBlkPci<D>>(); },
          .description = description,
          .user_creatable = true};
}

}  // namespace

const TypeInfo VirtioBlkPciBase::kType{
    .name = "virtio-blk-pci-base", .parent = &VirtioPci::kType, .properties = forwarded_properties()};

namespace {
template <>
const TypeInfo VirtioBlkPci<Dress::kGeneric>::kType = make_type<Dress::kGeneric>("virtio-blk-pci",
                                                                                 "Virtio disk");
template <>
const TypeInfo VirtioBlkPci<Dress::kTransitional>::kType = make_type<Dress::kTransitional>(
    "virtio-blk-pci-transitional", "Virtio disk, for old drivers and new ones");
template <>
const TypeInfo VirtioBlkPci<Dress::kNonTransitional>::kType = make_type<Dress::kNonTransitional>(
    "virtio-blk-pci-non-transitional", "Virtio disk, for new drivers only");
}  // namespace

void register_virtio_types(TypeRegistry& registry) {
  registry.add({&VirtioBus::kType, &VirtioBlk::kType, &VirtioBlkPci<Dress::kGeneric>::kType,
                &VirtioBlkPci<Dress::kTransitional>::kType, &VirtioBlkPci<Dress::kNonTransitional>::kType});
}

}  // namespace rhea
