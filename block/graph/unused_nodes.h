// Removes nodes that were made for a device that is gone.
#pragma once

#include "block/graph/block_graph.h"

namespace rhea {

/// Removes the node `name` and below it what blockdev-add made, as far as nobody else uses it. `removed` gets
/// the names of what is gone, top first. "Node 'N' is in use", "Node 'N' is not owned by the monitor"; then
/// all is as it was. A node that is not there is no error. Main loop.
CoResult<> co_remove_unused_nodes(BlockGraph& graph, std::string name, std::vector<std::string>& removed);

}  // namespace rhea
