// Command descriptor blocks: what is in them, and how much data a command moves. Spec: SPC-4
// (T10/1731-D) 4.3, SBC-3 (T10/1799-D) 5, MMC-5 (T10/1675D) 6.
#pragma once

#include <array>
#include <cstdint>

namespace rhea {

/// The first 16 bytes; shorter ones have zeros behind. Guest-controlled.
using ScsiCdb = std::array<uint8_t, 16>;

namespace scsi {
enum Opcode : uint8_t {
  kTestUnitReady = 0x00,
  kRequestSense = 0x03,
  kFormatUnit = 0x04,
  kRead6 = 0x08,
  kWrite6 = 0x0a,
  kInquiry = 0x12,
  kModeSelect6 = 0x15,
  kReserve6 = 0x16,
  kRelease6 = 0x17,
  kModeSense6 = 0x1a,
  kStartStop = 0x1b,
  kPreventAllow = 0x1e,
  kReadCapacity10 = 0x25,
  kRead10 = 0x28,
  kWrite10 = 0x2a,
  kSeek10 = 0x2b,
  kWriteVerify10 = 0x2e,
  kVerify10 = 0x2f,
  kSynchronizeCache10 = 0x35,
  kWriteSame10 = 0x41,
  kUnmap = 0x42,
  kGetConfiguration = 0x46,
  kGetEventStatus = 0x4a,
  kModeSelect10 = 0x55,
  kReserve10 = 0x56,
  kRelease10 = 0x57,
  kModeSense10 = 0x5a,
  kRead16 = 0x88,
  kWrite16 = 0x8a,
  kWriteVerify16 = 0x8e,
  kVerify16 = 0x8f,
  kSynchronizeCache16 = 0x91,
  kWriteSame16 = 0x93,
  kServiceActionIn16 = 0x9e,
  kReportLuns = 0xa0,
  kRead12 = 0xa8,
  kWrite12 = 0xaa,
  kReadDvdStructure = 0xad,
  kWriteVerify12 = 0xae,
  kVerify12 = 0xaf,
  kMechanismStatus = 0xbd,
  kReadCd = 0xbe,
};
inline constexpr uint8_t kReadCapacity16 = 0x10;  ///< service action
}  // namespace scsi

/// Blocks that a command names.
struct ScsiExtent {
  uint64_t lba = 0;
  uint64_t blocks = 0;
};
/// Of READ, WRITE, VERIFY, WRITE SAME and SYNCHRONIZE CACHE of any length.
ScsiExtent scsi_extent(const ScsiCdb& cdb);

/// What a command moves if nothing goes wrong.
struct ScsiTransfer {
  enum class Direction : uint8_t { kNone, kIn, kOut };  ///< kIn: to the initiator
  Direction direction = Direction::kNone;
  uint64_t bytes = 0;
};
/// Of a disk or CD with blocks of `block_bytes`. For a command unknown here: what its length field says.
ScsiTransfer scsi_transfer(const ScsiCdb& cdb, uint32_t block_bytes);

}  // namespace rhea
