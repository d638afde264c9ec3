// Dirty bitmaps of images, as the commands handle them.
#pragma once

#include <string>

#include "block/graph/block_driver_state.h"

namespace rhea::img {

/// A new persistent bitmap; `granularity` 0: what suits the image. Stored when the image is closed.
CoResult<> co_add_bitmap(BlockDriverState& node, std::string name, uint64_t granularity, bool enabled);
/// Makes copies of all persistent bitmaps. `skip_broken`: those not closed in order are left out.
CoResult<> co_copy_bitmaps(BlockDriverState& from, BlockDriverState& to, bool skip_broken);

}  // namespace rhea::img
