#include "hw/input/input_types.h"

#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"

namespace rhea {

void register_input_types(TypeRegistry& registry) {
  registry.add({&Ps2Device::kType, &Ps2Keyboard::kType, &Ps2Mouse::kType, &I8042::kType, &Vmport::kType,
                &Vmmouse::kType});
}

}  // namespace rhea
