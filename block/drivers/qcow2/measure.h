// How much room an image takes, before it is made.
#pragma once

#include "block/graph/options.h"

namespace rhea::qcow2 {

struct Measure {
  uint64_t cluster_bytes = 0;
  uint64_t metadata_bytes = 0;  ///< header and all tables of a full image
  uint64_t data_bytes = 0;      ///< of a full image
  bool preallocated = false;    ///< the options ask for all of it at once
};

/// `options` are those of creation, with the size.
Result<Measure> measure(OptionTree& options);

}  // namespace rhea::qcow2
