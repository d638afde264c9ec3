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
inline constexpr uint8_t kDeviceOnes = 0xa0, kDeviceUnit = 0x10;
// Interrupt reason (sector count of a packet device), 9.6.
inline constexpr uint8_t kCommandPhase = 0x01, kToHost = 0x02;

// Offsets in the command block.
inline constexpr unsigned kData = 0, kErrorFeature = 1, kSectorCount = 2, kLbaLow = 3, kLbaMid = 4,
                          kLbaHigh = 5, kDevice = 6, kStatusCommand = 7;

// Commands a packet device knows, 8.x.
inline constexpr uint8_t kNop = 0x00, kDeviceReset = 0x08, kReadSectors = 0x20, kExecuteDiagnostic = 0x90,
                         kPacket = 0xa0, kIdentifyPacket = 0xa1, kStandbyImmediate = 0xe0,
                         kIdleImmediate = 0xe1, kCheckPowerMode = 0xe5, kSleep = 0xe6, kIdentify = 0xec,
                         kSetFeatures = 0xef;

// A drive that waits, and one that has failed a command.
inline constexpr uint8_t kReady = kDrdy | kDsc;
inline constexpr uint8_t kFailed = kDrdy | kErr;

}  // namespace rhea::ata
