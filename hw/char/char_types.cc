#include "hw/char/char_types.h"

#include "hw/char/debugcon.h"
#include "hw/char/serial.h"

namespace rhea {

void register_char_types(TypeRegistry& registry) {
  registry.add({&IsaSerial::kType, &IsaDebugcon::kType});
}

}  // namespace rhea
