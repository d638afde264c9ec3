#include "hw/misc/misc_types.h"

#include "hw/misc/debug_exit.h"
#include "hw/misc/pc_testdev.h"
#include "hw/misc/port92.h"
#include "hw/misc/pvpanic.h"

namespace rhea {

void register_misc_types(TypeRegistry& registry) {
  registry.add(
      {&IsaDebugExit::kType, &PcTestdev::kType, &Port92::kType, &IsaPvpanic::kType, &PciPvpanic::kType});
}

}  // namespace rhea
