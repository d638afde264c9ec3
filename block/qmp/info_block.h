// The text of `info block`.
#pragma once

#include <string>
#include <vector>

#include "qapi/qapi_types_block.h"

namespace rhea {

/// What `info block` was asked for.
struct InfoBlockRequest {
  std::string name;      ///< only this drive or node; empty: all
  bool verbose = false;  ///< -v: the images too
  bool nodes = false;    ///< -n: nodes instead of drives
};

/// The text, made of what query-block and query-named-block-nodes returned.
std::string info_block_text(const InfoBlockRequest& request, const std::vector<BlockInfo>& drives,
                            const std::vector<BlockDeviceInfo>& nodes);

}  // namespace rhea
