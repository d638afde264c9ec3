#include "hw/scsi/cd_medium.h"

#include <algorithm>

#include "block/graph/block_backend.h"

namespace rhea {

CdMedium medium_in(const BlockBackend& backend) {
  if (!backend.is_inserted()) return {};
  const Result<uint64_t> bytes = backend.getlength();
  const uint64_t sectors = bytes ? *bytes / kCdSectorBytes : 0;
  return {.present = sectors != 0, .sectors = static_cast<uint32_t>(std::min<uint64_t>(sectors, UINT32_MAX))};
}

}  // namespace rhea
