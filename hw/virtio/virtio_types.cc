#include "hw/virtio/virtio_types.h"

#include "hw/virtio/virtio_balloon.h"
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_input.h"
#include "hw/virtio/virtio_net.h"
#include "hw/virtio/virtio_pci_types.h"
#include "hw/virtio/virtio_rng.h"
#include "hw/virtio/virtio_scsi.h"
#include "hw/virtio/virtio_serial.h"

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

constexpr PropertyInfo kNetFunction[] = {P::kIoeventfd, P::kVectors};
constexpr VirtioPciKind kNetKind{.base = "virtio-net-pci-base",
                                 .generic = "virtio-net-pci",
                                 .transitional = "virtio-net-pci-transitional",
                                 .non_transitional = "virtio-net-pci-non-transitional",
                                 .alias = "virtio-net",
                                 .description = nullptr,
                                 .class_id = 0x0200,
                                 .category = DeviceCategory::kNetwork,
                                 .default_vectors = VirtioPci::kAutoVectors,
                                 .device = &VirtioNet::kType,
                                 .properties = kNetFunction};
constexpr PropertyInfo kSerialFunction[] = {P::kIoeventfd, P::kVectors, P::kClass};
constexpr VirtioPciKind kSerialKind{.base = "virtio-serial-pci-base",
                                    .generic = "virtio-serial-pci",
                                    .transitional = "virtio-serial-pci-transitional",
                                    .non_transitional = "virtio-serial-pci-non-transitional",
                                    .alias = "virtio-serial",
                                    .description = nullptr,
                                    .class_id = 0x0780,
                                    .category = DeviceCategory::kInput,
                                    .default_vectors = 2,
                                    .device = &VirtioSerial::kType,
                                    .properties = kSerialFunction};

constexpr PropertyInfo kScsiFunction[] = {P::kIoeventfd, P::kVectors};
constexpr VirtioPciKind kScsiKind{.base = "virtio-scsi-pci-base",
                                  .generic = "virtio-scsi-pci",
                                  .transitional = "virtio-scsi-pci-transitional",
                                  .non_transitional = "virtio-scsi-pci-non-transitional",
                                  .alias = "virtio-scsi",
                                  .description = nullptr,
                                  .class_id = 0x0100,
                                  .category = DeviceCategory::kStorage,
                                  .default_vectors = VirtioPci::kAutoVectors,
                                  .device = &VirtioScsi::kType,
                                  .properties = kScsiFunction};
constexpr PropertyInfo kInputFunction[] = {P::kVectors};
constexpr VirtioPciKind kKeyboardKind{.base = "virtio-keyboard-pci-base",
                                      .generic = "virtio-keyboard-pci",
                                      .transitional = nullptr,
                                      .non_transitional = nullptr,
                                      .alias = "virtio-keyboard",
                                      .description = nullptr,
                                      .class_id = 0x0900,
                                      .category = DeviceCategory::kInput,
                                      .default_vectors = 2,
                                      .device = &VirtioKeyboard::kType,
                                      .properties = kInputFunction};
constexpr VirtioPciKind kMouseKind{.base = "virtio-mouse-pci-base",
                                   .generic = "virtio-mouse-pci",
                                   .transitional = nullptr,
                                   .non_transitional = nullptr,
                                   .alias = "virtio-mouse",
                                   .description = nullptr,
                                   .class_id = 0x0902,
                                   .category = DeviceCategory::kInput,
                                   .default_vectors = 2,
                                   .device = &VirtioMouse::kType,
                                   .properties = kInputFunction};
constexpr VirtioPciKind kTabletKind{.base = "virtio-tablet-pci-base",
                                    .generic = "virtio-tablet-pci",
                                    .transitional = nullptr,
                                    .non_transitional = nullptr,
                                    .alias = "virtio-tablet",
                                    .description = nullptr,
                                    .class_id = 0x0980,
                                    .category = DeviceCategory::kInput,
                                    .default_vectors = 2,
                                    .device = &VirtioTablet::kType,
                                    .properties = kInputFunction};

}  // namespace

void register_virtio_types(TypeRegistry& registry) {
  registry.add(VirtioBus::kType);
  add_virtio_pci<VirtioBlk, kBlkKind>(registry);
  registry.add(
      {&VirtioSerialBus::kType, &VirtioSerialPort::kType, &VirtConsole::kType, &VirtSerialPort::kType});
  add_virtio_pci<VirtioSerial, kSerialKind>(registry);
  add_virtio_pci<VirtioKeyboard, kKeyboardKind>(registry);
  add_virtio_pci<VirtioMouse, kMouseKind>(registry);
  add_virtio_pci<VirtioTablet, kTabletKind>(registry);
  add_virtio_pci<VirtioNet, kNetKind>(registry);
  registry.add(VirtioScsi::kCommonType);
  add_virtio_pci<VirtioScsi, kScsiKind>(registry);
  add_virtio_pci<VirtioRng, kRngKind>(registry);
  add_virtio_pci<VirtioBalloon, kBalloonKind>(registry);
}

}  // namespace rhea
