#include "block/graph/status.h"

#include "block/graph/chain.h"
#include "block/graph/io.h"

namespace rhea {

CoResult<ChainStatus> co_status_above(BlockDriverState& node, ByteRange range) {
  ChainStatus out;
  BlockDriverState* at = &skip_filters(node);
  for (out.depth = 1;; ++out.depth) {
    out.status = co_await or_return(co_await co_node_block_status(*at, range));
    if (out.status.bytes == 0) {  // behind a short backing file's end
      out.status = BlockStatus{.bytes = range.bytes, .data = false, .zero = true, .allocated = false};
      if (out.depth == 1) out.status.bytes = 0;
      break;
    }
    range.bytes = out.status.bytes;
    if (out.status.allocated || !at->backing()) break;
    at = &skip_filters(at->backing().node());
  }
  if (!out.status.allocated) out.depth = 0;
  co_return out;
}

}  // namespace rhea
