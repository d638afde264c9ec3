// The block layer's commands of the human monitor.
#pragma once

#include "qapi/hmp_registry.h"

namespace rhea {

/// Adds info block, eject and change.
void register_block_hmp(HmpRegistry& registry);

}  // namespace rhea
