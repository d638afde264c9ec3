#include "block/drivers/drivers.h"

namespace rhea {

void register_block_drivers(BlockGraph& graph) {
  for (const BlockDriver* d : {&kBlkdebugDriver, &kFileDriver, &kHostDeviceDriver, &kHostCdromDriver,
                               &kNullAioDriver, &kNullCoDriver, &kQcow2Driver, &kRawDriver})
    graph.register_driver(*d);
}

}  // namespace rhea
