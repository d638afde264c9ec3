#include "hw/scsi/scsi_cdb.h"

#include "util/byteorder.h"

namespace rhea {

using namespace scsi;

namespace {

constexpr uint32_t kRawSectorBytes = 2352, kUserSectorBytes = 2048;

/// The length in its place: the group of the operation code tells it.
uint64_t length_field(const ScsiCdb& cdb) {
  switch (cdb[0] >> 5) {
    case 0:
      return cdb[4];
    case 1:
    case 2:
      return load_be<uint16_t>(&cdb[7]);
    case 4:
      return load_be<uint32_t>(&cdb[10]);
    case 5:
      return load_be<uint32_t>(&cdb[6]);
    default:
      return 0;
  }
}

/// VERIFY and its kin: nothing, all blocks, or one that stands for all (BYTCHK 0, 1, 3).
uint64_t verified_bytes(const ScsiCdb& cdb, uint32_t block_bytes) {
  switch (cdb[1] >> 1 & 3) {
    case 1:
      return scsi_extent(cdb).blocks * block_bytes;
    case 3:
      return block_bytes;
    default:
      return 0;
  }
}

uint64_t read_cd_bytes(const ScsiCdb& cdb) {
  const uint64_t sectors = load_be<uint32_t>(&cdb[5]) & 0xff'ffff;
  const uint8_t parts = cdb[9] & 0xf8;
  return parts == 0 ? 0 : sectors * (parts == 0x10 ? kUserSectorBytes : kRawSectorBytes);
}

}  // namespace

ScsiExtent scsi_extent(const ScsiCdb& cdb) {
  switch (cdb[0] >> 5) {
    case 0:  // 256 blocks are written as none
      return {load_be<uint32_t>(&cdb[0]) & 0x1f'ffff, cdb[4] == 0 ? uint64_t{256} : cdb[4]};
    case 4:
      return {load_be<uint64_t>(&cdb[2]), load_be<uint32_t>(&cdb[10])};
    case 5:
      return {load_be<uint32_t>(&cdb[2]), load_be<uint32_t>(&cdb[6])};
    default:
      return {load_be<uint32_t>(&cdb[2]), load_be<uint16_t>(&cdb[7])};
  }
}

ScsiTransfer scsi_transfer(const ScsiCdb& cdb, uint32_t block_bytes) {
  using D = ScsiTransfer::Direction;
  const auto of = [](D direction, uint64_t bytes) {
    return ScsiTransfer{bytes == 0 ? D::kNone : direction, bytes};
  };
  switch (cdb[0]) {
    case kTestUnitReady:
    case kReserve6:
    case kRelease6:
    case kStartStop:
    case kPreventAllow:
    case kSeek10:
    case kSynchronizeCache10:
    case kSynchronizeCache16:
    case kReserve10:
    case kRelease10:
    case kFormatUnit:  // its list is not looked at
      return {};
    case kReadCapacity10:
      return of(D::kIn, 8);
    case kRead6:
    case kRead10:
    case kRead12:
    case kRead16:
      return of(D::kIn, scsi_extent(cdb).blocks * block_bytes);
    case kWrite6:
    case kWrite10:
    case kWrite12:
    case kWrite16:
    case kWriteVerify10:
    case kWriteVerify12:
    case kWriteVerify16:
      return of(D::kOut, scsi_extent(cdb).blocks * block_bytes);
    case kVerify10:
    case kVerify12:
    case kVerify16:
      return of(D::kOut, verified_bytes(cdb, block_bytes));
    case kWriteSame10:
      return of(D::kOut, block_bytes);
    case kWriteSame16:  // NDOB: no data
      return of(D::kOut, (cdb[1] & 1) != 0 ? 0 : block_bytes);
    case kInquiry:
      return of(D::kIn, load_be<uint16_t>(&cdb[3]));
    case kModeSelect6:
    case kModeSelect10:
    case kUnmap:
      return of(D::kOut, length_field(cdb));
    case kReadDvdStructure:
    case kMechanismStatus:
      return of(D::kIn, load_be<uint16_t>(&cdb[8]));
    case kReadCd:
      return of(D::kIn, read_cd_bytes(cdb));
    default:
      return of(D::kIn, length_field(cdb));
  }
}

}  // namespace rhea
