// Backing chains: walking them, and asking which of their images has the data.
#pragma once

#include "block/graph/block_driver_state.h"

namespace rhea {

/// What a filter shows; null if `node` is no filter.
BlockDriverState* filtered_child(const BlockDriverState& node);
/// The backing file of an image; null if it has none or `node` is a filter.
BlockDriverState* cow_child(const BlockDriverState& node);
/// Either of them.
BlockDriverState* filter_or_cow_child(const BlockDriverState& node);
/// The first node at or below `node` that is no filter.
BlockDriverState& skip_filters(BlockDriverState& node);
/// The same, but only past filters that somebody else put in (query-block shows what is below).
BlockDriverState& skip_implicit_filters(BlockDriverState& node);
/// The image below the image `node` shows, without filters; null at the end.
BlockDriverState* backing_chain_next(BlockDriverState& node);
/// The last image of the chain.
BlockDriverState& chain_end(BlockDriverState& node);
/// True if `below` is in the chain of `top` (or is `top`), filters included.
bool chain_contains(BlockDriverState& top, const BlockDriverState& below);
/// The node directly above `below` in the chain of `top`, filters included; null if there is none.
BlockDriverState* chain_overlay(BlockDriverState& top, const BlockDriverState& below);
/// True if `to` is `from` or below it, by any edges.
bool is_reachable(const BlockDriverState& from, const BlockDriverState& to);

/// Keeps the edges from `top` down to `base` (null: the end) where they are until unfreeze_chain(). "Cannot
/// change '%s' link from '%s' to '%s'" if another operation needs one of them so, "Cannot freeze '%s' link to
/// '%s'" for one to a filter that may go at any moment.
Result<> freeze_chain(BlockDriverState& top, const BlockDriverState* base);
void unfreeze_chain(BlockDriverState& top, const BlockDriverState* base);
/// The same error if the edge is frozen.
Result<> check_not_frozen(const BlockEdge& edge);

/// Who answers for the run that starts at range.offset, at most range.bytes long: `allocated` if `top` or one
/// above `base` (null: any) does; with `include_base`, base too. A read of zeroes behind the end of a shorter
/// image counts as that image's own.
CoResult<BlockStatus> co_status_above(BlockDriverState& top, BlockDriverState* base, bool include_base,
                                      ByteRange range);

}  // namespace rhea
