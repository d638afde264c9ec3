// Copying the guest's bytes from one image to another, several requests at a time.
#pragma once

#include <functional>
#include <span>

#include "block/graph/block_backend.h"

namespace rhea::img {

struct CopyOptions {
  uint64_t min_sparse_bytes = 4096;  ///< zeroes of at least this length are not written; 0: everything is
  bool sparse_given = false;
  bool compressed = false;
  bool target_is_zero = false;      ///< what is not written reads as zeroes
  bool target_has_backing = false;  ///< what the source leaves to its backing file stays with the target's
  bool out_of_order = false;
  bool salvage = false;  ///< what cannot be read becomes zeroes
  bool quiet = false;
  int workers = 8;
  uint64_t bytes_per_second = 0;  ///< 0: no limit
  uint64_t skip = 0;              ///< where in the source to begin
  uint64_t length = UINT64_MAX;
};

/// The bytes that a copy has to move, as opposed to those that are zero.
CoResult<uint64_t> co_count_data(std::span<BlockBackend* const> sources, BlockBackend& target,
                                 CopyOptions options);

/// Copies what the sources hold, one behind the other. `progress` gets the bytes moved.
CoResult<> co_copy(std::span<BlockBackend* const> sources, BlockBackend& target, CopyOptions options,
                   std::function<void(uint64_t)> progress);

}  // namespace rhea::img
