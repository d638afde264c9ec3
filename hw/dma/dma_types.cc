#include "hw/dma/dma_types.h"

#include "hw/dma/i8257.h"

namespace rhea {

void register_dma_types(TypeRegistry& registry) {
  registry.add(I8257::kType);
}

}  // namespace rhea
