// The generic request layer, once for all drivers: ranges, alignment, bounce buffers, read-only, zeroes,
// limits.
#pragma once

#include "block/graph/block_driver_state.h"

namespace rhea {

// Requests to a node from one of its users; each is checked here, so that a driver sees only what it can
// take. `range` must lie inside the node for writes (EIO), unless the user `may_grow` it and the node can;
// what a read finds behind its end are zeroes.
CoResult<> co_node_preadv(BlockDriverState& bs, ByteRange range, IoVector iov);
/// The same, and what a backing file gave is then in `bs` itself.
CoResult<> co_node_copy_on_read(BlockDriverState& bs, ByteRange range, IoVector iov);
CoResult<> co_node_pwritev(BlockDriverState& bs, ByteRange range, IoVector iov, bool may_grow = false);
/// `may_unmap`: storage may be given back, as far as it then reads as zeroes.
CoResult<> co_node_pwrite_zeroes(BlockDriverState& bs, ByteRange range, bool may_unmap,
                                 bool may_grow = false);
/// Whole units of the image's own size, packed if the format can (ENOTSUP).
CoResult<> co_node_pwrite_compressed(BlockDriverState& bs, ByteRange range, IoVector iov);
/// Advice: what the driver cannot discard stays.
CoResult<> co_node_pdiscard(BlockDriverState& bs, ByteRange range);
CoResult<> co_node_flush(BlockDriverState& bs);
/// Status of the run that starts at range.offset, at most range.bytes long.
CoResult<BlockStatus> co_node_block_status(BlockDriverState& bs, ByteRange range);
/// `how`: whether what is new gets its space at once (growing only).
CoResult<> co_node_truncate(BlockDriverState& bs, uint64_t bytes, Preallocation how = Preallocation::kOff);

}  // namespace rhea
