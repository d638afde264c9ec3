#include "hw/scsi/scsi_types.h"

#include "hw/scsi/scsi_cd.h"

namespace rhea {

void register_scsi_types(TypeRegistry& registry) {
  registry.add({&ScsiBus::kType, &ScsiDevice::kType, &ScsiDisk::kType, &ScsiHd::kType, &ScsiCd::kType});
}

}  // namespace rhea
