#include "block/drivers/drivers.h"

namespace rhea {

void register_block_drivers(BlockGraph& graph) {
  for (const BlockDriver* d : {&kBlkdebugDriver, &kBlkverifyDriver, &kCompressDriver, &kCopyOnReadDriver,
                               &kFileDriver, &kHostDeviceDriver, &kHostCdromDriver, &kNbdDriver,
                               &kNullAioDriver, &kNullCoDriver, &kQcow2Driver, &kRawDriver})
    graph.register_driver(*d);
}

}  // namespace rhea
