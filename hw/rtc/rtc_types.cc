#include "hw/rtc/rtc_types.h"

#include "hw/rtc/mc146818.h"

namespace rhea {

void register_rtc_types(TypeRegistry& registry) {
  registry.add(Mc146818::kType);
}

}  // namespace rhea
