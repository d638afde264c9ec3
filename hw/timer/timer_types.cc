#include "hw/timer/timer_types.h"

#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/pcspk.h"

namespace rhea {

void register_timer_types(TypeRegistry& registry) {
  registry.add({&Hpet::kType, &PitCommon::kType, &I8254::kType, &Pcspk::kType});
}

}  // namespace rhea
