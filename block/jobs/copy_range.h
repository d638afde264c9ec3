// Copying a part of one image into another: data as data, zeroes as zeroes.
#pragma once

#include "block/graph/block_backend.h"

namespace rhea {

/// Which side of a copy has failed.
struct CopyFailure {
  bool reading = false;
  int errnum = 0;
};

/// How requests of a copy reach a node: through a backend (others can drain it), or past it where the caller
/// has drained.
struct CopyEnd {
  BlockDriverState* node = nullptr;
  BlockBackend* backend = nullptr;
};

/// Copies `range` from `source` to `target`, in pieces; `failure` says which side an error came from. A
/// target with `unmap` may give up space for zeroes. What lies behind the end of the target is left out. Main
/// loop.
CoResult<> co_copy_range(CopyEnd source, CopyEnd target, ByteRange range, bool unmap, CopyFailure& failure);

}  // namespace rhea
