#include "hw/display/display_types.h"

#include "hw/display/vga_pci.h"

namespace rhea {

void register_display_types(TypeRegistry& registry) {
  registry.add({&VgaPrimary::kType, &VgaSecondary::kType});
}

}  // namespace rhea
