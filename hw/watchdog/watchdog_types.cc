#include "hw/watchdog/watchdog_types.h"

#include "hw/watchdog/i6300esb.h"
#include "hw/watchdog/ib700.h"

namespace rhea {

void register_watchdog_types(TypeRegistry& registry) {
  registry.add({&I6300Esb::kType, &Ib700::kType});
}

}  // namespace rhea
