#include "block/drivers/drivers.h"

namespace rhea {

static constexpr const BlockDriver* kAllDrivers[] = {
    &kBlkdebugDriver,  &kBlkverifyDriver,  &kCompressDriver, &kCopyOnReadDriver, &kFileDriver,
    &kHostCdromDriver, &kHostDeviceDriver, &kNbdDriver,      &kNullAioDriver,    &kNullCoDriver,
    &kQcow2Driver,     &kRawDriver,        &kThrottleDriver};

void register_block_drivers(BlockGraph& graph) {
  for (const BlockDriver* d : kAllDrivers) graph.register_driver(*d);
}

std::span<const BlockDriver* const> block_drivers() {
  return kAllDrivers;
}

}  // namespace rhea
