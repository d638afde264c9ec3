// What is known about a run of bytes, seen through filters and the whole backing chain.
#pragma once

#include "block/graph/block_driver_state.h"

namespace rhea {

struct ChainStatus {
  BlockStatus status;  ///< allocated: by some image of the chain
  int depth = 0;       ///< 1: the uppermost image has it, 2: its backing file …; 0: none has
};

/// Status of the run that starts at range.offset, at most range.bytes long, of what a reader of `node` sees.
/// Zero bytes long only behind the end.
CoResult<ChainStatus> co_status_above(BlockDriverState& node, ByteRange range);

}  // namespace rhea
