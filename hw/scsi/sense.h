// Why a SCSI command failed. Spec: SPC-4 (T10/1731-D) 4.5, additional sense codes in its table 59.
#pragma once

#include <cstdint>

namespace rhea {

enum class SenseKey : uint8_t {
  kNone = 0,
  kNotReady = 2,
  kMediumError = 3,
  kHardwareError = 4,
  kIllegalRequest = 5,
  kUnitAttention = 6,
  kDataProtect = 7,
  kAbortedCommand = 0xb,
  kMiscompare = 0xe
};

namespace asc {
inline constexpr uint8_t kNone = 0x00, kUnrecoveredRead = 0x11, kListLength = 0x1a, kMiscompare = 0x1d,
                         kInvalidOpcode = 0x20, kLbaOutOfRange = 0x21, kInvalidField = 0x24,
                         kNoSuchUnit = 0x25, kInvalidParameter = 0x26, kWriteProtected = 0x27,
                         kMediumChanged = 0x28, kPowerOn = 0x29, kParametersChanged = 0x2a,
                         kIncompatibleMedium = 0x30, kSavingUnsupported = 0x39, kNoMedium = 0x3a,
                         kTargetChanged = 0x3f, kInternalFailure = 0x44, kRemovalPrevented = 0x53;
}

struct Sense {
  SenseKey key = SenseKey::kNone;
  uint8_t asc = 0;
  uint8_t ascq = 0;
  friend bool operator==(const Sense&, const Sense&) = default;
  explicit operator bool() const { return key != SenseKey::kNone; }
  /// The Error register of a CHECK CONDITION over ATA.
  uint8_t error_register() const { return static_cast<uint8_t>(static_cast<unsigned>(key) << 4); }
};

namespace sense {
using K = SenseKey;
inline constexpr Sense kNoMedium{K::kNotReady, asc::kNoMedium},
    kReadFailed{K::kMediumError, asc::kUnrecoveredRead},
    kInternalFailure{K::kHardwareError, asc::kInternalFailure},
    kListLength{K::kIllegalRequest, asc::kListLength},
    kInvalidOpcode{K::kIllegalRequest, asc::kInvalidOpcode},
    kLbaOutOfRange{K::kIllegalRequest, asc::kLbaOutOfRange},
    kInvalidField{K::kIllegalRequest, asc::kInvalidField}, kNoSuchUnit{K::kIllegalRequest, asc::kNoSuchUnit},
    kIncompatibleMedium{K::kIllegalRequest, asc::kIncompatibleMedium},
    kInvalidParameter{K::kIllegalRequest, asc::kInvalidParameter},
    kSavingUnsupported{K::kIllegalRequest, asc::kSavingUnsupported},
    kRemovalPrevented{K::kNotReady, asc::kRemovalPrevented, 2},
    kRemovalRefused{K::kIllegalRequest, asc::kRemovalPrevented, 2},
    kWriteProtected{K::kDataProtect, asc::kWriteProtected},
    kNoSpace{K::kDataProtect, asc::kWriteProtected, 7}, kIoFailed{K::kAbortedCommand, asc::kNone, 6},
    kMiscompare{K::kMiscompare, asc::kMiscompare}, kPowerOn{K::kUnitAttention, asc::kPowerOn},
    kMediumChanged{K::kUnitAttention, asc::kMediumChanged},
    kCapacityChanged{K::kUnitAttention, asc::kParametersChanged, 9},
    kModeChanged{K::kUnitAttention, asc::kParametersChanged, 1},
    kLunsChanged{K::kUnitAttention, asc::kTargetChanged, 0x0e};
}  // namespace sense

}  // namespace rhea
