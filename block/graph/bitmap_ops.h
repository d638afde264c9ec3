// What commands and tools do with the dirty bitmaps of a node: the checks and errors they share.
#pragma once

#include "block/graph/block_driver_state.h"

namespace rhea {

enum BitmapCheck : uint8_t { kNotBusy = 1, kNotReadOnly = 2, kConsistent = 4, kUsual = 7 };

/// "Bitmap '%s' is currently in use by another operation and cannot be used", "… is readonly and cannot be
/// modified", "… is inconsistent and cannot be used".
Result<> check_bitmap(const DirtyBitmap& bitmap, uint8_t what);

/// What a bitmap of `node` has where nobody says: a cluster, at least 4 KiB and at most 64 KiB. Bytes.
CoResult<uint64_t> co_default_bitmap_granularity(BlockDriverState& node);

/// Makes a bitmap that fits the node, which does not have it yet (BlockDriverState::add_bitmap()).
/// `granularity` 0: the default. "Bitmap name cannot be empty", "Bitmap already exists: %s", "Can't make
/// bitmap '%s' persistent in '%s': …". Main loop.
CoResult<std::shared_ptr<DirtyBitmap>> co_make_bitmap(BlockDriverState& node, std::string name,
                                                      uint64_t granularity, bool persistent, bool enabled);

}  // namespace rhea
