// Register bits and command codes of ATA with the PACKET feature set. Spec: ATA/ATAPI-6 (T13/1410D), chapters
// 7 (registers) and 8 (commands).
#pragma once

#include <cstdint>

namespace rhea::ata {

// Status, 7.15.
inline constexpr uint8_t kErr = 0x01, kDrq = 0x08, kDsc = 0x10, kDf = 0x20, kDrdy = 0x40, kBsy = 0x80;
// Error, 7.9.
inline constexpr uint8_t kAbort = 0x04;
// Device control, 7.8.
inline constexpr uint8_t kNoInterrupt = 0x02, kSoftReset = 0x04, kHighOrder = 0x80;
// Device, 7.7: obsolete bits that read as ones, and the bit that selects unit 1.
inline constexpr uint8_t kDeviceOnes = 0xa0, kDeviceUnit = 0x10, kDeviceLba = 0x40, kDeviceHead = 0x0f;
// Interrupt reason (sector count of a packet device), 9.6.
inline constexpr uint8_t kCommandPhase = 0x01, kToHost = 0x02;

// Offsets in the command block.
inline constexpr unsigned kData = 0, kErrorFeature = 1, kSectorCount = 2, kLbaLow = 3, kLbaMid = 4,
                          kLbaHigh = 5, kDevice = 6, kStatusCommand = 7;

// Commands, 8.x. The *NoRetry and *Old ones are of earlier revisions; guests still send them.
inline constexpr uint8_t kNop = 0x00, kDataSetManagement = 0x06, kDeviceReset = 0x08, kRecalibrate = 0x10,
                         kReadSectors = 0x20, kReadSectorsNoRetry = 0x21, kReadSectorsExt = 0x24,
                         kReadDmaExt = 0x25, kReadNativeMaxExt = 0x27, kReadMultipleExt = 0x29,
                         kWriteSectors = 0x30, kWriteSectorsNoRetry = 0x31, kWriteSectorsExt = 0x34,
                         kWriteDmaExt = 0x35, kSetMaxExt = 0x37, kWriteMultipleExt = 0x39,
                         kWriteVerify = 0x3c, kVerify = 0x40, kVerifyNoRetry = 0x41, kVerifyExt = 0x42,
                         kSeek = 0x70, kExecuteDiagnostic = 0x90, kInitializeParameters = 0x91,
                         kStandbyImmediateOld = 0x94, kIdleImmediateOld = 0x95, kStandbyOld = 0x96,
                         kIdleOld = 0x97, kCheckPowerModeOld = 0x98, kSleepOld = 0x99, kPacket = 0xa0,
                         kIdentifyPacket = 0xa1, kSmart = 0xb0, kReadMultiple = 0xc4, kWriteMultiple = 0xc5,
                         kSetMultiple = 0xc6, kReadDma = 0xc8, kReadDmaNoRetry = 0xc9, kWriteDma = 0xca,
                         kWriteDmaNoRetry = 0xcb, kStandbyImmediate = 0xe0, kIdleImmediate = 0xe1,
                         kStandby = 0xe2, kIdle = 0xe3, kCheckPowerMode = 0xe5, kSleep = 0xe6,
                         kFlushCache = 0xe7, kFlushCacheExt = 0xea, kIdentify = 0xec, kSetFeatures = 0xef,
                         kSecurityFreeze = 0xf5, kReadNativeMax = 0xf8, kSetMax = 0xf9;

// A drive that waits, and one that has failed a command.
inline constexpr uint8_t kReady = kDrdy | kDsc;
inline constexpr uint8_t kFailed = kDrdy | kErr;

}  // namespace rhea::ata
