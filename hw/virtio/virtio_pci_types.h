// The three dresses of a kind of virtio device on PCI: as the properties say, transitional, modern only. Each
// shows the properties of the device behind it as its own.
#pragma once

#include <vector>

#include "hw/virtio/virtio_pci.h"

namespace rhea {

/// What a kind's functions are. Lives for ever.
struct VirtioPciKind {
  const char* base;              ///< "virtio-blk-pci-base", abstract
  const char* generic;           ///< "virtio-blk-pci"
  const char* transitional;      ///< null: has no such type
  const char* non_transitional;  ///< null: has no such type
  const char* alias;             ///< "virtio-blk"; null: none
  const char* description;
  uint16_t class_id;
  DeviceCategory category;
  uint32_t default_vectors;                  ///< VirtioPci::kAutoVectors, or a number
  const TypeInfo* device;                    ///< "virtio-blk-device"
  std::span<const PropertyInfo> properties;  ///< those of VirtioPci that are not everyone's
};

/// What kinds show besides what all do.
struct VirtioPciProperties {
  static constexpr PropertyInfo kVectors = prop<&VirtioPci::vectors>("vectors");
  static constexpr PropertyInfo kIoeventfd = prop<&VirtioPci::ioeventfd>("ioeventfd", "on/off");
  static constexpr PropertyInfo kClass = prop<&VirtioPci::class_override>("class");
};

/// The properties of `kind`'s functions: its own, then those of the device behind them.
std::vector<PropertyInfo> virtio_pci_properties(const VirtioPciKind& kind);
/// "disable-legacy" and "disable-modern".
std::span<const PropertyInfo> virtio_pci_generic_properties();

enum class VirtioDress : uint8_t { kGeneric, kTransitional, kNonTransitional };

/// Functions before a `Backend`.
template <class Backend, const VirtioPciKind& kKind, VirtioDress kDress>
class VirtioPciFunction final : public VirtioPci {
 public:
  VirtioPciFunction() : VirtioPci(std::make_shared<Backend>(), kKind.class_id, kKind.default_vectors) {
    std::ignore = apply_global_properties(backend(), GlobalErrors::kWarn);
    if (kDress == VirtioDress::kTransitional) disable_legacy = OnOffAuto::kOff;
    if (kDress == VirtioDress::kNonTransitional) disable_legacy = OnOffAuto::kOn;
  }
  const TypeInfo& type() const override { return type_info(); }
  static const TypeInfo& base_info() {
    static const std::vector<PropertyInfo> properties = virtio_pci_properties(kKind);
    static const TypeInfo info{.name = kKind.base,
                               .parent = &VirtioPci::kType,
                               .properties = properties,
                               .category = kKind.category};
    return info;
  }
  static const TypeInfo& type_info() {
    constexpr bool kIsGeneric = kDress == VirtioDress::kGeneric;
    using Generic = VirtioPciFunction<Backend, kKind, VirtioDress::kGeneric>;
    static const TypeInfo info{
        .name = kIsGeneric                             ? kKind.generic
                : kDress == VirtioDress::kTransitional ? kKind.transitional
                                                       : kKind.non_transitional,
        .parent = &Generic::base_info(),
        .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioPciFunction>(); },
        .properties = kIsGeneric ? virtio_pci_generic_properties() : std::span<const PropertyInfo>(),
        .description = kKind.description,
        .user_creatable = true};
    return info;
  }
};

/// Makes the kind's types known.
template <class Backend, const VirtioPciKind& kKind>
void add_virtio_pci(TypeRegistry& registry) {
  registry.add(*kKind.device);
  const TypeInfo& generic = VirtioPciFunction<Backend, kKind, VirtioDress::kGeneric>::type_info();
  registry.add(generic);
  if (kKind.alias != nullptr) registry.add_alias(kKind.alias, generic);
  if (kKind.transitional != nullptr)
    registry.add(VirtioPciFunction<Backend, kKind, VirtioDress::kTransitional>::type_info());
  if (kKind.non_transitional != nullptr)
    registry.add(VirtioPciFunction<Backend, kKind, VirtioDress::kNonTransitional>::type_info());
}

}  // namespace rhea
