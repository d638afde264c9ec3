#include "hw/virtio/virtio_types.h"

#include "hw/virtio/virtio_balloon.h"
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_pci_types.h"
#include "hw/virtio/virtio_rng.h"

namespace rhea {

namespace {

using P = VirtioPciProperties;
constexpr PropertyInfo kBlkFunction[] = {P::kIoeventfd, P::kVectors, P::kClass};
constexpr VirtioPciKind kBlkKind{.base = "virtio-blk-pci-base",
                                 .generic = "virtio-blk-pci",
                                 .transitional = "virtio-blk-pci-transitional",
                                 .non_transitional = "virtio-blk-pci-non-transitional",
                                 .alias = "virtio-blk",
                                 .description = nullptr,
                                 .class_id = 0x0100,
                                 .category = DeviceCategory::kStorage,
                                 .default_vectors = VirtioPci::kAutoVectors,
                                 .device = &VirtioBlk::kType,
                                 .properties = kBlkFunction};

constexpr PropertyInfo kRngFunction[] = {P::kIoeventfd, P::kVectors};
constexpr VirtioPciKind kRngKind{.base = "virtio-rng-pci-base",
                                 .generic = "virtio-rng-pci",
                                 .transitional = "virtio-rng-pci-transitional",
                                 .non_transitional = "virtio-rng-pci-non-transitional",
                                 .alias = "virtio-rng",
                                 .description = nullptr,
                                 .class_id = 0x00ff,
                                 .category = DeviceCategory::kMisc,
                                 .default_vectors = VirtioPci::kAutoVectors,
                                 .device = &VirtioRng::kType,
                                 .properties = kRngFunction};
constexpr PropertyInfo kBalloonFunction[] = {P::kIoeventfd};
constexpr VirtioPciKind kBalloonKind{.base = "virtio-balloon-pci-base",
                                     .generic = "virtio-balloon-pci",
                                     .transitional = "virtio-balloon-pci-transitional",
                                     .non_transitional = "virtio-balloon-pci-non-transitional",
                                     .alias = "virtio-balloon",
                                     .description = nullptr,
                                     .class_id = 0x00ff,
                                     .category = DeviceCategory::kMisc,
                                     .default_vectors = 0,
                                     .device = &VirtioBalloon::kType,
                                     .properties = kBalloonFunction};

}  // namespace

void register_virtio_types(TypeRegistry& registry) {
  registry.add(VirtioBus::kType);
  add_virtio_pci<VirtioBlk, kBlkKind>(registry);
  add_virtio_pci<VirtioRng, kRngKind>(registry);
  add_virtio_pci<VirtioBalloon, kBalloonKind>(registry);
}

}  // namespace rhea
