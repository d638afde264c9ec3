// Other options for nodes while they are open: blockdev-reopen, and `reopen` of rhea-io.
#pragma once

#include <vector>

#include "block/graph/block_graph.h"

namespace rhea {

struct ReopenRequest {
  NodeRef node;
  OptionTree options;  ///< as for opening; children that were opened with the node may be named too
};

/// Changes all nodes, or none. `keep_old`: what is not named stays; else it goes back to its default. Options
/// that cannot change: "Cannot change the option '%s'". Requests wait meanwhile. Main loop.
CoResult<> co_reopen(BlockGraph& graph, std::vector<ReopenRequest> requests, bool keep_old);

}  // namespace rhea
