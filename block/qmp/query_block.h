// Snapshots of drives and nodes: what query-block returns and `info block` prints.
#pragma once

#include <vector>

#include "block/graph/block_graph.h"
#include "qapi/qapi_types_block.h"

namespace rhea {

/// All drives that have a name or a device, in the order they were made.
CoResult<std::vector<BlockInfo>> co_query_block(BlockGraph& graph);
SnapshotInfo describe_snapshot(const ImageSnapshot& snapshot);
/// All nodes, newest first.
CoResult<std::vector<BlockDeviceInfo>> co_query_nodes(BlockGraph& graph);

}  // namespace rhea
