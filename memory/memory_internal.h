// What the files of this folder share.
#pragma once

#include "memory/memory.h"

namespace rhea {

/// Sizes and ends of up to 2^64 do not fit 64 bits.
using Wide = __int128;

/// The bytes a region covers: kWholeSpace stands for 2^64.
inline Wide wide_size(uint64_t size) {
  return size == MemoryRegion::kWholeSpace ? Wide{1} << 64 : Wide{size};
}

/// Renders the tree below `root` into disjoint ranges. The very last byte of the 2^64 is not shown by a
/// region that covers all of them: a range's size has 64 bits.
FlatView render_flat_view(MemoryRegion& root);

/// Every address space looks at its tree anew, now.
void memory_update_spaces();
/// A region changed: looks anew now, or at the end of the transaction under way.
void memory_topology_changed();

}  // namespace rhea
