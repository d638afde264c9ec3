// The drivers that are built in.
#pragma once

#include "block/graph/block_graph.h"

namespace rhea {

/// Makes all built-in drivers known to `graph`.
void register_block_drivers(BlockGraph& graph);
/// The same, by name.
std::span<const BlockDriver* const> block_drivers();

extern const BlockDriver kBlkdebugDriver;
extern const BlockDriver kBlkverifyDriver;
extern const BlockDriver kCompressDriver;
extern const BlockDriver kCopyOnReadDriver;
extern const BlockDriver kFileDriver;
extern const BlockDriver kHostDeviceDriver;
extern const BlockDriver kHostCdromDriver;
extern const BlockDriver kNbdDriver;
extern const BlockDriver kNullAioDriver;
extern const BlockDriver kNullCoDriver;
extern const BlockDriver kQcow2Driver;
extern const BlockDriver kRawDriver;
extern const BlockDriver kThrottleDriver;

}  // namespace rhea
