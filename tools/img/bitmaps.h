// Dirty bitmaps of images, as the commands handle them.
#pragma once

#include <string>

#include "block/drivers/qcow2/node.h"

namespace rhea::img {

/// The image as one that can keep bitmaps; null if it cannot.
qcow2::Qcow2Node* image_with_bitmaps(BlockDriverState& node);
/// A new persistent bitmap; `granularity` 0: what suits the image. Stored when the image is closed.
CoResult<> co_add_bitmap(BlockDriverState& node, std::string name, uint64_t granularity, bool enabled);
/// Makes copies of all persistent bitmaps. `skip_broken`: those not closed in order are left out.
CoResult<> co_copy_bitmaps(BlockDriverState& from, BlockDriverState& to, bool skip_broken);

}  // namespace rhea::img
