// What a CD drive finds on its tray.
#pragma once

#include "hw/scsi/atapi.h"

namespace rhea {

class BlockBackend;

/// The medium in `backend`; its last sector's number has 32 bits at most.
CdMedium medium_in(const BlockBackend& backend);

}  // namespace rhea
