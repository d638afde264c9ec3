#include "hw/intc/intc_types.h"

#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"

namespace rhea {

void register_intc_types(TypeRegistry& registry) {
  registry.add({&I8259::kType, &Ioapic::kType});
}

}  // namespace rhea
