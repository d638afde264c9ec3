// The types of hw/scsi.
#pragma once

namespace rhea {
class TypeRegistry;
void register_scsi_types(TypeRegistry& registry);
}  // namespace rhea
